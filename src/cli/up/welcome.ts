import type { Config } from '../../config/settings-table.ts';

export interface WelcomeOptions {
  readonly httpUrl: string;
  readonly withPage: boolean;
}

/** What `ingot up` says when everything runs: the page, the data, and what to try next. */
export function welcomeLines(config: Config, { httpUrl, withPage }: WelcomeOptions): string[] {
  return [
    `${(withPage ? 'page, metrics' : 'health, metrics').padEnd(16)} ${httpUrl}`,
    `${'data'.padEnd(16)} ${config.instance.dataFolder}`,
    '',
    'Try in another terminal:',
    '  ./ingot alerts tail        subscribe to the alerts',
    '  ./ingot schemas list       look at the schemas in the registry',
    '  ./ingot simulate --devices 3 --scenario heatwave --prefix mine',
    '',
  ];
}
