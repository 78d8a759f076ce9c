import type { DeviceProfile } from '../core/device-profile.ts';
import type { JournalEntry } from './progress.ts';

/** So many profiles stand in one record of the journal, which must stay far below what a broker takes. */
const PROFILES_PER_RECORD = 500;

/** The profiles in force, told to the journal once a day in pieces: one with each transaction until all are told. */
export class ProfileRepeats {
  private untold: string[] = [];

  begin(profiles: ReadonlyMap<string, DeviceProfile>): void {
    this.untold = [...profiles.keys()].sort();
  }

  /** The next piece, of the profiles as they are now; undefined when there is none. */
  next(profiles: ReadonlyMap<string, DeviceProfile>): JournalEntry['profilesInForce'] {
    if (this.untold.length === 0) return undefined;
    const told = this.untold.splice(0, PROFILES_PER_RECORD).flatMap((deviceId) => {
      const profile = profiles.get(deviceId);
      return profile === undefined ? [] : [[deviceId, profile] as const];
    });
    return { profiles: told, left: this.untold.length };
  }
}
