import type { Contender, Surroundings, Usage } from './contender.ts';
import { naive } from './naive.ts';
import { ours } from './ours.ts';

// The process of one contender. Told 'begin' it notes what it has used so far; told 'end' it says what it has used since.

const contenders: Readonly<Record<string, () => Contender>> = { ours, naive };
const contender = contenders[process.argv[2]!]!();
const surroundings = JSON.parse(process.argv[3]!) as Surroundings;

let before = process.cpuUsage();
process.on('message', async (told) => {
  if (told === 'begin') {
    before = process.cpuUsage();
    return;
  }
  const { user, system } = process.cpuUsage(before);
  const usage: Usage = { cpuMs: (user + system) / 1000, maxRssMegabytes: process.resourceUsage().maxRSS / 1024 };
  process.send!(usage);
  await contender.stop();
  process.disconnect();
});
await contender.start(surroundings);
