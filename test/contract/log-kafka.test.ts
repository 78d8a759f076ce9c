import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { configureLog } from '../../src/ops/log.ts';
import { freshName, stack } from '../support/stack.ts';
import { describeLog } from './log-contract.ts';

configureLog({ level: 'silent', format: 'json' });

/** A port on which nothing listens. */
const NOWHERE = ['127.0.0.1:1'];

describeLog('the log on Kafka', () => ({
  newClient: (clientId = 'contract') => createKafkaLog({ brokers: stack().kafkaBrokers, clientId }),
  newUnreachableClient: () => createKafkaLog({ brokers: NOWHERE, clientId: 'contract' }),
  freshName,
}));
