import type { Alert } from './alert-record.ts';
import type { DeviceState } from './device-state.ts';
import type { ReadingOutcome, ReadingRejectReason } from './outcome.ts';
import type { WindowAggregate } from './window-aggregate.ts';

export interface RejectedReading {
  readonly offset: number;
  readonly reason: ReadingRejectReason;
}

/** What a slice of the input came to; taken and emptied by `takeOutput`. */
export interface FoldOutput {
  readonly aggregates: readonly WindowAggregate[];
  readonly alerts: readonly Alert[];
  readonly rejected: readonly RejectedReading[];
  /** Devices whose state differs from what was last taken; a device forgotten and seen again is in both lists. */
  readonly changedDevices: readonly DeviceState[];
  readonly forgottenDevices: readonly string[];
  readonly counts: FoldCounts;
}

/** Readings by outcome, and two that are not outcomes: counted readings that came late, and judgements left out because of the order. */
export interface FoldCounts {
  readonly outcomes: Readonly<Record<ReadingOutcome, number>>;
  readonly late: number;
  readonly notJudged: number;
}

const noOutcomes = (): Record<ReadingOutcome, number> => ({
  counted: 0,
  not_aggregatable: 0,
  duplicate: 0,
  undecodable: 0,
  misrouted: 0,
  future: 0,
  ancient: 0,
  state_limit: 0,
});

/** Collects what the fold puts out between two commits. Its bound is the caller's: it commits when `records` is large enough. */
export class FoldOutbox {
  aggregates: WindowAggregate[] = [];
  alerts: Alert[] = [];
  rejected: RejectedReading[] = [];
  forgottenDevices: string[] = [];
  outcomes = noOutcomes();
  late = 0;
  notJudged = 0;
  private changedDevices: DeviceState[] = [];

  markChanged(device: DeviceState): void {
    if (device.changed) return;
    device.changed = true;
    this.changedDevices.push(device);
  }

  get changedCount(): number {
    return this.changedDevices.length;
  }

  get records(): number {
    return this.aggregates.length + this.alerts.length + this.rejected.length + this.changedDevices.length + this.forgottenDevices.length;
  }

  /** Hands out and forgets everything since the last call. */
  take(): FoldOutput {
    const taken: FoldOutput = {
      aggregates: this.aggregates,
      alerts: this.alerts,
      rejected: this.rejected,
      changedDevices: this.changedDevices.filter((device) => !device.forgotten),
      forgottenDevices: this.forgottenDevices,
      counts: { outcomes: this.outcomes, late: this.late, notJudged: this.notJudged },
    };
    for (const device of this.changedDevices) device.changed = false;
    this.aggregates = [];
    this.alerts = [];
    this.rejected = [];
    this.changedDevices = [];
    this.forgottenDevices = [];
    this.outcomes = noOutcomes();
    this.late = 0;
    this.notJudged = 0;
    return taken;
  }
}
