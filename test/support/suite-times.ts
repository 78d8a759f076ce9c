import type { Reporter, TestModule } from 'vitest/node';

/** Prints how long each test file took, the slowest first, so that a CI log says where the minutes go. */
export class SuiteTimesReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = modules
      .map((module) => ({ name: `${module.project.name} ${module.relativeModuleId}`, durationMs: module.diagnostic().duration }))
      .sort((left, right) => right.durationMs - left.durationMs);
    const totalMs = rows.reduce((sum, row) => sum + row.durationMs, 0);
    const lines = rows.map((row) => `${(row.durationMs / 1000).toFixed(1).padStart(8)} s  ${row.name}`);
    process.stdout.write(`\nTest files by time (${(totalMs / 1000).toFixed(1)} s together)\n${lines.join('\n')}\n`);
  }
}
