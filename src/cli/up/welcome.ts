import type { Config } from '../../config/settings-table.ts';

export interface WelcomeOptions {
  readonly httpUrl: string;
  readonly withPage: boolean;
  /** False when commands look for the running stack elsewhere unless they are told. */
  readonly isUsualFolder: boolean;
}

/** What `ingot up` says when everything runs: the page, the data, and what to try next. */
export function welcomeLines(config: Config, { httpUrl, withPage, isUsualFolder }: WelcomeOptions): string[] {
  const { dataFolder } = config.instance;
  const ingot = isUsualFolder ? './ingot' : `DATA_FOLDER=${dataFolder} ./ingot`;
  return [
    `${(withPage ? 'page, metrics' : 'health, metrics').padEnd(16)} ${httpUrl}`,
    `${'data'.padEnd(16)} ${dataFolder}`,
    '',
    'Try in another terminal:',
    `  ${ingot} alerts tail        subscribe to the alerts`,
    `  ${ingot} schemas list       look at the schemas in the registry`,
    `  ${ingot} simulate --devices 3 --scenario heatwave --prefix mine`,
    '',
  ];
}
