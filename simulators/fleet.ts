import { DeviceLink, type ProtocolVersion, type TlsTexts } from './device-link.ts';
import type { DeviceFeed } from './feed.ts';
import type { SentReading } from './reading.ts';
import type { TruthWriter } from './truth-file.ts';

// N devices on the wire. A device has a connection of its own up to `connectionsMax` devices; above that all devices share so many
// connections, and then a device's status is written by the fleet, because a connection has one last will only.

export interface FleetOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: TlsTexts | undefined;
  readonly clientIdPrefix: string;
  readonly connectionsMax: number;
  /** Publishes without PUBACK, per connection. */
  readonly inFlightMax: number;
  /** For the first CONNACK of each connection. */
  readonly connectDeadlineMs: number;
  /** For the farewell of each connection. */
  readonly leaveDeadlineMs: number;
  /** Null: nobody wants the truth. */
  readonly truth: TruthWriter | null;
  /** Once per kind of trouble, for people. */
  readonly warn: (message: string) => void;
}

export interface FleetCounts {
  readonly devices: number;
  readonly connections: number;
  readonly connected: number;
  readonly sent: number;
  readonly acked: number;
  /** Sent and neither acknowledged nor refused. */
  readonly inFlight: number;
  /** The broker answered with a reason code of failure. */
  readonly refused: number;
  /** Connections that broke without the story having asked for it. */
  readonly broken: number;
}

export type EndReason = 'complete' | 'stopped';

interface Member {
  readonly feed: DeviceFeed;
  next: number;
  /** As last said on the status topic. */
  isOnline: boolean;
}

interface Lane {
  readonly link: DeviceLink;
  readonly members: readonly Member[];
  /** Who is asked first next time, so that a burst of one device does not starve the others of its connection. */
  turn: number;
  isReturning: boolean;
}

const CONNECTS_AT_ONCE = 50;
const PACE_MS = 10;
/** So many readings are written and published in one go before acknowledgements are handled. */
const BATCH_MAX = 2_000;
const DRAIN_DEADLINE_MS = 10_000;

export class Fleet {
  readonly #options: FleetOptions;
  readonly #lanes: readonly Lane[];
  readonly #devices: number;
  #protocolVersion: ProtocolVersion = 5;
  #isRunning = false;
  #wasStopped = false;
  #startedAt = 0;
  #pumpQueued = false;
  /** Who is asked first: under overload every connection has its turn. */
  #firstLane = 0;
  #sent = 0;
  #acked = 0;
  #refused = 0;
  #broken = 0;
  #ended = Promise.withResolvers<EndReason>();

  constructor(feeds: readonly DeviceFeed[], options: FleetOptions) {
    this.#options = options;
    this.#devices = feeds.length;
    const connections = Math.min(feeds.length, options.connectionsMax);
    const groups: Member[][] = Array.from({ length: connections }, () => []);
    feeds.forEach((feed, index) => {
      groups[index % connections]?.push({ feed, next: 0, isOnline: true });
    });
    this.#lanes = groups.map((members, index) => ({ link: this.#makeLink(members, index), members, turn: 0, isReturning: false }));
  }

  get counts(): FleetCounts {
    return {
      devices: this.#devices,
      connections: this.#lanes.length,
      connected: this.#lanes.filter((lane) => lane.link.isUp).length,
      sent: this.#sent,
      acked: this.#acked,
      inFlight: this.#sent - this.#acked - this.#refused,
      refused: this.#refused,
      broken: this.#broken,
    };
  }

  get protocolVersion(): ProtocolVersion {
    return this.#protocolVersion;
  }

  /** Opens every connection: MQTT 5 where the broker has it, else 3.1.1. Rejects with what the broker or the network said. */
  async connect(): Promise<void> {
    const [first, ...others] = this.#lanes;
    if (first === undefined) return;
    try {
      await first.link.open(this.#options.connectDeadlineMs);
    } catch (error) {
      if (!isVersionRefusal(error)) throw error;
      this.#protocolVersion = 4;
      await first.link.open(this.#options.connectDeadlineMs);
    }
    for (let at = 0; at < others.length; at += CONNECTS_AT_ONCE) {
      await Promise.all(others.slice(at, at + CONNECTS_AT_ONCE).map((lane) => lane.link.open(this.#options.connectDeadlineMs)));
    }
  }

  /** Sends until every feed is at its end or `stop` is called, then waits for the acknowledgements and leaves. Rejects when the truth cannot be written. */
  async run(): Promise<EndReason> {
    this.#isRunning = true;
    this.#startedAt = performance.now();
    for (const lane of this.#lanes) if (isShared(lane)) for (const member of lane.members) void lane.link.say(member.feed.device, 'online');
    const pace = setInterval(() => this.#pump(), PACE_MS);
    this.#pump();
    try {
      return await this.#ended.promise;
    } finally {
      this.#isRunning = false;
      clearInterval(pace);
      await this.#drain();
      await Promise.all(this.#lanes.map((lane) => this.#leave(lane)));
    }
  }

  /** No more readings; `run` then drains and resolves. May be called again. */
  stop(): void {
    this.#wasStopped = true;
    this.#ended.resolve('stopped');
  }

  /** Breaks every connection at once: for a start that failed half way. */
  abandon(): void {
    for (const { link } of this.#lanes) link.vanish();
  }

  #makeLink(members: readonly Member[], index: number): DeviceLink {
    const { url, username, password, tls, clientIdPrefix, inFlightMax } = this.#options;
    const own = members.length === 1 ? (members[0]?.feed.device ?? null) : null;
    const fleet = this;
    return new DeviceLink({
      url,
      username,
      password,
      tls,
      clientId: `${clientIdPrefix}-${own ?? `shared-${index + 1}`}`,
      // Known only when the first connection stands, therefore asked for at every opening.
      get protocolVersion() {
        return fleet.#protocolVersion;
      },
      willOf: own,
      inFlightMax,
      onAcked: (reading) => this.#onAcked(reading),
      onRefused: (_reading, error) => this.#onRefused(error),
      onBroken: () => this.#onBroken(),
      onRoom: () => this.#queuePump(),
    });
  }

  #onAcked(reading: SentReading): void {
    this.#acked += 1;
    this.#options.truth?.acked(reading.device, reading.seq);
  }

  #onRefused(error: Error): void {
    this.#refused += 1;
    if (this.#refused === 1) this.#options.warn(`the broker refused a reading: ${error.message}`);
  }

  #onBroken(): void {
    this.#broken += 1;
    if (this.#broken === 1) this.#options.warn('a connection broke; reconnecting, and sending again what was not acknowledged');
  }

  #queuePump(): void {
    if (this.#pumpQueued || !this.#isRunning) return;
    this.#pumpQueued = true;
    setImmediate(() => {
      this.#pumpQueued = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (!this.#isRunning || this.#wasStopped) return;
    try {
      this.#sendDue();
    } catch (error) {
      // The truth cannot be written (a full disk): nothing more may be sent.
      this.#wasStopped = true;
      this.#ended.reject(error);
    }
  }

  /** Sends what is due and has room. The truth file has a reading before the wire has it. */
  #sendDue(): void {
    const elapsedMs = performance.now() - this.#startedAt;
    const batch: { link: DeviceLink; reading: SentReading }[] = [];
    let isAtEnd = true;
    this.#firstLane = (this.#firstLane + 1) % this.#lanes.length;
    for (const lane of [...this.#lanes.slice(this.#firstLane), ...this.#lanes.slice(0, this.#firstLane)]) {
      this.#followStory(lane, elapsedMs);
      collectDue(lane, elapsedMs, batch);
      isAtEnd &&= lane.members.every((member) => member.next >= member.feed.length);
    }
    if (batch.length > 0) {
      const readings = batch.map((item) => item.reading);
      this.#options.truth?.sending(readings, Date.now());
      this.#sent += batch.length;
      for (const { link, reading } of batch) link.publish(reading);
    }
    if (isAtEnd) this.#ended.resolve('complete');
  }

  /** Takes devices off the network and brings them back, as their story says. */
  #followStory(lane: Lane, elapsedMs: number): void {
    for (const member of lane.members) {
      const isOnline = member.feed.isOnline(elapsedMs);
      if (isShared(lane)) {
        if (isOnline !== member.isOnline) void lane.link.say(member.feed.device, isOnline ? 'online' : 'offline');
      } else if (!isOnline && lane.link.isUp && lane.link.inFlight === 0) lane.link.vanish();
      else if (isOnline && lane.link.isAway && !lane.isReturning) this.#bringBack(lane);
      member.isOnline = isOnline;
    }
  }

  #bringBack(lane: Lane): void {
    lane.isReturning = true;
    lane.link
      .open(this.#options.connectDeadlineMs)
      .catch((error: Error) => {
        if (this.#isRunning) this.#options.warn(`a device could not come back: ${error.message}; trying again`);
      })
      .finally(() => {
        lane.isReturning = false;
      });
  }

  /** Waits until everything is acknowledged; after the deadline the rest stays unacknowledged in the truth file. */
  async #drain(): Promise<void> {
    const deadline = performance.now() + DRAIN_DEADLINE_MS;
    while (this.counts.inFlight > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    if (this.counts.inFlight > 0)
      this.#options.warn(`${this.counts.inFlight} readings were not acknowledged within ${DRAIN_DEADLINE_MS} ms`);
  }

  async #leave(lane: Lane): Promise<void> {
    if (isShared(lane)) {
      const goodbyes = Promise.all(lane.members.map((member) => lane.link.say(member.feed.device, 'offline')));
      await Promise.race([goodbyes, new Promise((resolve) => setTimeout(resolve, this.#options.leaveDeadlineMs).unref())]);
    }
    await lane.link.close(this.#options.leaveDeadlineMs);
  }
}

function isShared(lane: Lane): boolean {
  return lane.members.length > 1;
}

/** Adds what the lane may send now; each device's readings in their order. */
function collectDue(lane: Lane, elapsedMs: number, batch: { link: DeviceLink; reading: SentReading }[]): void {
  const { link, members } = lane;
  let room = Math.min(link.room, BATCH_MAX - batch.length);
  for (let step = 0; step < members.length && room > 0; step += 1) {
    const member = members[(lane.turn + step) % members.length];
    if (member === undefined || !member.isOnline) continue;
    const { feed } = member;
    while (room > 0 && member.next < feed.length && feed.dueAfterMs(member.next) <= elapsedMs) {
      batch.push({ link, reading: feed.reading(member.next) });
      member.next += 1;
      room -= 1;
    }
  }
  lane.turn += 1;
}

/** 1 in MQTT 3.1.1's CONNACK, 132 in MQTT 5's. */
function isVersionRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 1 || error.code === 132);
}
