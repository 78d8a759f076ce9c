// What the code under test logs in this process is noise in the report; a test that wants to see it configures the log itself.

import { configureLog } from '../../src/ops/log.ts';

configureLog({ level: 'fatal', format: 'text' });
