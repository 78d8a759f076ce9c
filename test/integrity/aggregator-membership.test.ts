import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { FedPipeline } from '../support/fed-pipeline.ts';
import { faultSeed, seededRandom } from '../support/kill-schedule.ts';
import type { RoleProcess } from '../support/role-process.ts';

// Members of the group that come, go, die and hang, all at once or one after the other, while devices go on talking.

const PARTITIONS = 4;
const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
const STORM_STEP_MS = 3_000;
/** Fifteen seconds; a minute in the soak. */
const STORM_STEPS = repeats > 1 ? 20 : 5;
const MEMBERS_MAX = 3;

let fed: FedPipeline | undefined;
afterEach(async () => {
  await fed?.close();
});

async function kill(roles: readonly RoleProcess[]): Promise<void> {
  for (const role of roles) role.child.kill('SIGKILL');
  await Promise.all(roles.map((role) => role.ended()));
}

describe('members of the group', () => {
  test('three killed at once are followed by three others', { timeout: 240_000 }, async () => {
    const feeding = await FedPipeline.start({ partitions: PARTITIONS });
    fed = feeding;
    const start = (): RoleProcess[] => Array.from({ length: 3 }, () => feeding.aggregator());
    let roles = start();
    for (let time = 0; time < repeats; time++) {
      await feeding.owned(roles);
      await feeding.progress(roles, 200);
      await kill(roles);
      roles = start();
    }
    await feeding.owned(roles);
    await feeding.progress(roles, 200);
    await feeding.settle(roles);
    await feeding.expectOneFold();
  });

  const seed = faultSeed();
  test(`one that comes or goes every three seconds, seed ${seed} (INGOT_FAULT_SEED)`, { timeout: 300_000 }, async () => {
    const random = seededRandom(seed);
    const feeding = await FedPipeline.start({ partitions: PARTITIONS });
    fed = feeding;
    const roles: RoleProcess[] = [feeding.aggregator()];
    const stopped: Promise<number | null>[] = [];
    const steps: string[] = [];
    await feeding.progress(roles, 100);
    for (let step = 0; step < STORM_STEPS; step++) {
      const isComing = roles.length === 1 || (roles.length < MEMBERS_MAX && random() < 0.5);
      if (isComing) {
        roles.push(feeding.aggregator());
        steps.push('comes');
      } else {
        const [leaving] = roles.splice(Math.floor(random() * roles.length), 1);
        const how = random() < 0.5 ? 'is killed' : 'goes';
        steps.push(how);
        if (how === 'is killed') await kill([leaving!]);
        else stopped.push(leaving!.stop());
      }
      await sleep(STORM_STEP_MS);
    }
    process.stdout.write(`rebalance storm: one ${steps.join(', one ')}; ${feeding.readings} readings\n`);
    await feeding.owned(roles);
    await feeding.progress(roles, 200);
    await feeding.settle(roles);
    // Who was asked to stop in the middle of a rebalance has ended in good order too.
    expect(new Set(await Promise.all(stopped))).toEqual(new Set(stopped.length === 0 ? [] : [0]));
    await feeding.expectOneFold();
  });
});
