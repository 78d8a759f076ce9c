import { MemoryLog } from '../support/memory-log.ts';
import { describeLog } from './log-contract.ts';

describeLog('the log in memory', () => {
  const log = new MemoryLog();
  let names = 0;
  return {
    newClient: (clientId) => log.client(clientId),
    newUnreachableClient: () => {
      const unreachable = new MemoryLog();
      unreachable.createTopic({ name: 't', partitions: 1, replicationFactor: 1, configs: {} });
      unreachable.beginOutage();
      return unreachable.client();
    },
    freshName: (prefix) => `${prefix}-${names++}`,
  };
});
