-- Version 1 of the tables. Later versions are files of their own; see migrations.ts.

-- One row per part of a window: what the aggregates topic holds, never changed once written. The total of a window is in window_totals.
create table window_aggregates (
  device_id    text not null,
  metric       text not null,
  unit         text not null,
  window_start timestamptz not null,
  window_end   timestamptz not null,
  part         bigint not null,
  count        bigint not null,
  min          double precision not null,
  max          double precision not null,
  mean         double precision not null,
  sum          double precision not null,
  m2           double precision not null,
  first        double precision not null,
  first_time   timestamptz not null,
  last         double precision not null,
  last_time    timestamptz not null,
  closed_by    text not null,
  labels       jsonb not null,
  primary key (device_id, metric, window_start, window_end, part)
);
-- Rows come nearly in the order of time, so a summary per range of blocks is enough, and costs an insert next to nothing.
create index window_aggregates_by_time on window_aggregates using brin (window_start);

-- The state of each alert: its transition with the highest number.
create table alerts (
  alert_id          uuid primary key,
  fingerprint       text not null,
  rule_id           text not null,
  rule_version      integer not null,
  device_id         text not null,
  metric            text not null,
  severity          text not null,
  state             text not null,
  transition        text not null,
  transition_number integer not null,
  value             double precision,
  peak_value        double precision,
  threshold         double precision not null,
  clear_threshold   double precision not null,
  unit              text not null,
  raised_at         timestamptz not null,
  transition_at     timestamptz not null,
  resolved_at       timestamptz,
  sample_count      bigint not null,
  suppressed        boolean not null,
  acknowledged_by   text,
  summary           text not null,
  labels            jsonb not null,
  evidence          jsonb not null
);
create index alerts_by_device on alerts (device_id, raised_at);
create index alerts_by_state on alerts (state, raised_at);

-- Every transition of every alert.
create table alert_transitions (
  like alerts,
  primary key (alert_id, transition_number)
);

-- Records that are no rows: what could not be decoded, and what the database would not store.
create table rejected_rows (
  topic           text not null,
  kafka_partition integer not null,
  kafka_offset    bigint not null,
  reason          text not null,
  detail          text not null,
  record_key      bytea,
  -- The first 4096 bytes.
  record_value    bytea,
  rejected_at     timestamptz not null default now(),
  primary key (topic, kafka_partition, kafka_offset)
);

-- Up to where each partition has been written; changed in the same transaction as its rows, so that a restart goes on exactly there.
create table sink_positions (
  topic            text not null,
  kafka_partition  integer not null,
  next_offset      bigint not null,
  -- The last record before next_offset and when the log got it, by which a log that was made anew is known.
  last_offset      bigint,
  last_appended_at timestamptz,
  primary key (topic, kafka_partition)
);

-- The totals of the windows. m2 of the whole is the sum of the parts' m2, plus what the parts' means differ from the mean of the whole.
-- PostgreSQL ends a query whose quotient or square is too small for a double, and one such reading must not end everybody's: next to nothing is nothing here.
create view window_totals as
select
  device_id,
  metric,
  max(unit) as unit,
  window_start,
  window_end,
  count(*) as parts,
  sum(count)::bigint as count,
  min(min) as min,
  max(max) as max,
  max(total_mean) as mean,
  max(total_sum) as sum,
  sum(part_m2) as m2,
  case when sum(part_m2) < 1e-280 then 0 else sqrt(sum(part_m2) / max(total_count)) end as standard_deviation,
  (array_agg(first order by first_time, part))[1] as first,
  min(first_time) as first_time,
  (array_agg(last order by last_time desc, part desc))[1] as last,
  max(last_time) as last_time
from (
  select
    *,
    case when abs(mean - total_mean) < 1e-140 then m2 else m2 + count * (mean - total_mean) ^ 2 end as part_m2
  from (
    select
      *,
      case when abs(total_sum) < 1e-280 then 0 else total_sum / total_count end as total_mean
    from (
      select
        parts.*,
        sum(sum) over whole as total_sum,
        (sum(count) over whole)::double precision as total_count
      from window_aggregates as parts
      window whole as (partition by device_id, metric, window_start, window_end)
    ) as parts_with_sums
  ) as parts_with_means
) as parts_with_m2
group by device_id, metric, window_start, window_end;
