import { defineCommand } from '../command.ts';
import { startSimulatorProgram } from '../simulator-program.ts';

export const simulate = defineCommand({
  description:
    'Publishes over MQTT what a fleet of devices would: temperature, humidity, battery and voltage of machines, at QoS 1, with last will and retained status on devices/<id>/status. The same seed gives the same values. The scenarios: steady (all is well), heatwave (every third machine goes above 100 Cel and comes back), flapping (every second one trembles around 100), late-burst (every second device loses its network, overheats, and sends its backlog later), mix (of five devices one heatwave, one flapping, one late-burst, two steady). --replay sends a CSV series with its own times instead. --truth writes down what was really sent, for `ingot verify`. Ctrl-C waits for the acknowledgements; a second one does not.',
  flags: {
    devices: { kind: 'number', integer: true, min: 1, max: 1_000_000, help: 'How many devices. Default: 10.' },
    rate: { kind: 'number', help: 'Readings per second of the whole fleet. Default: 2 per device.' },
    seed: { kind: 'number', integer: true, min: 0, help: 'The same seed gives the same values. Default: 1.' },
    duration: { kind: 'duration', help: 'End after so long. Default: go on until Ctrl-C.' },
    scenario: { kind: 'choice', choices: ['steady', 'heatwave', 'flapping', 'late-burst', 'mix'], help: 'What happens. Default: mix.' },
    cycle: { kind: 'duration', help: 'How often the scenario repeats. Default: 60s.' },
    prefix: { kind: 'string', placeholder: 'NAME', help: 'The devices are called NAME-0001 and so on. Default: sim.' },
    connections: { kind: 'number', integer: true, min: 1, help: 'At most so many connections; more devices share them. Default: 200.' },
    'in-flight': { kind: 'number', integer: true, min: 1, help: 'Unacknowledged readings per connection at most. Default: 64.' },
    truth: { kind: 'string', placeholder: 'FILE', help: 'Append what was sent and acknowledged to this file, as JSON lines.' },
    replay: { kind: 'string', placeholder: 'FILE', help: 'Send this CSV series (timestamp,value) instead.' },
    metric: { kind: 'string', placeholder: 'NAME', help: 'With --replay: the metric that it is. Default: temperature.' },
    device: { kind: 'string', placeholder: 'ID', help: 'With --replay: the device that says it. Default: replay-0001.' },
    speed: { kind: 'string', placeholder: 'N|max', help: 'With --replay: so many times as fast as it was. Default: max.' },
    progress: {
      kind: 'choice',
      choices: ['text', 'jsonl'],
      help: 'Lines on stderr, or JSON lines on stdout. Default: text on a terminal.',
    },
  },
  settings: ['MQTT_URL', 'MQTT_USERNAME', 'MQTT_PASSWORD', 'MQTT_TLS_CA_FILE'],
  examples: [
    { line: 'ingot simulate', shows: 'ten devices, some of which get too hot' },
    { line: 'ingot simulate --devices 1000 --rate 5000 --scenario steady --duration 1m', shows: 'load' },
    { line: 'ingot simulate --duration 1m --truth truth.jsonl && ingot verify --truth truth.jsonl', shows: 'whether anything was lost' },
    {
      line: 'ingot simulate --replay examples/nab/machine_temperature_system_failure.csv --metric machine_temperature',
      shows: 'a real machine (EVENT_TIME_PAST_LIMIT=unlimited)',
    },
  ],
  drains: true,
  run: async (context) => {
    const { duration, cycle, progress = context.isTerminal ? 'text' : 'jsonl', ...plain } = context.flags;
    const values = { ...plain, progress, duration: inMs(duration), cycle: inMs(cycle) };
    const args = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
    const program = startSimulatorProgram({
      args: ['run', ...args],
      mqtt: context.config().mqtt,
      stdio: ['ignore', 'inherit', 'inherit'],
      signal: context.signal,
    });
    return program.ended;
  },
});

function inMs(durationMs: number | undefined): string | undefined {
  return durationMs === undefined ? undefined : `${durationMs}ms`;
}
