import type { BrokerFacts, QueueFacts } from './doctor-ports.ts';
import { type Finding, fail, ok, spanText, warn } from './finding.ts';

const CHECK = 'MQTT broker';

const DAY_SECONDS = 86_400;
/** Topic, properties and headers of a PUBLISH around its payload. */
const PUBLISH_OVERHEAD_BYTES = 1024;

export interface BrokerNeeds {
  readonly filters: readonly string[];
  readonly maxPayloadBytes: number;
  /** The operator has looked at what no client can see. */
  readonly isConfigurationChecked: boolean;
}

/** What a session that was away for a moment has kept: a broker that drops what it cannot queue has acknowledged it to the devices. */
export function judgeQueue({ published, kept, refusal }: QueueFacts): Finding {
  if (refusal !== null)
    return warn(CHECK, `its queues could not be tried: ${refusal}`, 'Let this user do that, or look for the limits in its configuration');
  if (kept === published) return ok(CHECK, `kept ${kept} of ${published} messages for a client that was away`);
  const what = `kept ${kept} of ${published} messages for a client that was away, and had acknowledged all of them`;
  return fail(
    CHECK,
    what,
    'Let it queue without a limit (mosquitto: max_queued_messages 0): what devices publish while a bridge is away is lost',
  );
}

/** What the broker grants against what the bridge needs, and what has to be looked up in the broker's own configuration. */
export function judgeBroker(facts: BrokerFacts, needs: BrokerNeeds): Finding[] {
  return [
    ...judgeSession(facts),
    ...needs.filters.flatMap((filter) => judgeSubscription(filter, facts)),
    ...judgeSizes(facts, needs),
    ...judgeDropped(facts.system),
    ...unseen(facts.system, needs),
  ];
}

/** The product behind the address, when its `$SYS` topics tell. */
export function brokerName(system: ReadonlyMap<string, string>): string | null {
  const version = system.get('$SYS/broker/version');
  if (version !== undefined) return version;
  const ofCluster = [...system].find(([topic]) => /^\$SYS\/brokers\/[^/]+\/version$/.test(topic));
  return ofCluster === undefined ? null : `EMQX ${ofCluster[1]}`;
}

function judgeSession({ protocolVersion, sessionExpirySeconds, askedSessionExpirySeconds }: BrokerFacts): Finding[] {
  if (protocolVersion === 4) {
    const what = 'it speaks MQTT 3.1.1 only: how long it keeps the session of a bridge that is away cannot be agreed on';
    return [
      warn(
        CHECK,
        what,
        "Look for the expiry of persistent sessions in the broker's configuration; the broker inside 'ingot up' keeps them in memory",
      ),
    ];
  }
  const granted = sessionExpirySeconds ?? askedSessionExpirySeconds;
  if (granted >= askedSessionExpirySeconds)
    return [ok(CHECK, `keeps the session of a bridge that is away for ${spanText(granted * 1000)}`)];
  const what = `keeps the session of a bridge that is away for ${spanText(granted * 1000)} only; the bridge asks for ${spanText(askedSessionExpirySeconds * 1000)}`;
  const todo = 'Raise the longest session expiry in its configuration: what devices publish during a longer outage is lost';
  return [granted === 0 ? fail(CHECK, what, todo) : granted < DAY_SECONDS ? warn(CHECK, what, todo) : ok(CHECK, what)];
}

function judgeSubscription(filter: string, { subscriptions, maximumQos, isWildcardAvailable, isSharedAvailable }: BrokerFacts): Finding[] {
  const granted = subscriptions.get(filter) ?? null;
  if (typeof granted === 'string') {
    return [fail(CHECK, `refuses the subscription to ${filter}: ${granted}`, "Check MQTT_TOPICS and the broker's access list")];
  }
  const isShared = filter.startsWith('$share/');
  if (isShared && !isSharedAvailable)
    return [fail(CHECK, `has no shared subscriptions, and MQTT_TOPICS asks for ${filter}`, 'Give each bridge filters of its own')];
  if (/[+#]/.test(filter) && !isWildcardAvailable)
    return [fail(CHECK, `allows no wildcards, and MQTT_TOPICS asks for ${filter}`, 'Allow them, or name each topic')];
  if (maximumQos === 0 || granted === 0) {
    return [warn(CHECK, `grants QoS 0 only for ${filter}: it may drop messages`, "Allow QoS 1 in the broker's configuration")];
  }
  if (granted === null) return [ok(CHECK, `${filter} was not subscribed to: that would take messages from the bridges`)];
  return [ok(CHECK, `grants QoS ${granted} for ${filter}`)];
}

/** What it says about itself in CONNACK: limits for those who publish, devices and our notices of alerts. */
function judgeSizes({ maximumPacketBytes, receiveMaximum, isRetainAvailable }: BrokerFacts, { maxPayloadBytes }: BrokerNeeds): Finding[] {
  const findings: Finding[] = [];
  if (!isRetainAvailable) {
    const what = 'keeps no retained messages: who subscribes to alerts over MQTT later does not see what is firing';
    findings.push(warn(CHECK, what, 'Allow retained messages, if notices of alerts are wanted'));
  }
  const inFlight = receiveMaximum === null ? '' : `; ${receiveMaximum} unacknowledged messages from a publisher`;
  if (maximumPacketBytes !== null && maximumPacketBytes < maxPayloadBytes + PUBLISH_OVERHEAD_BYTES) {
    const what = `takes packets of at most ${maximumPacketBytes} bytes, MAX_PAYLOAD_BYTES is ${maxPayloadBytes}: what is longer is refused unseen, and never a dead letter`;
    return [
      ...findings,
      warn(CHECK, what, `Let it take at least ${maxPayloadBytes + PUBLISH_OVERHEAD_BYTES} bytes, or lower MAX_PAYLOAD_BYTES`),
    ];
  }
  if (maximumPacketBytes === null && receiveMaximum === null) return findings;
  const packets = maximumPacketBytes === null ? 'packets of any size' : `packets of up to ${maximumPacketBytes} bytes`;
  return [...findings, ok(CHECK, `takes ${packets}${inFlight}`)];
}

/** mosquitto counts what it dropped because a queue was full. */
function judgeDropped(system: ReadonlyMap<string, string>): Finding[] {
  const dropped = Number(system.get('$SYS/broker/publish/messages/dropped') ?? Number.NaN);
  if (Number.isNaN(dropped)) return [];
  if (dropped === 0) return [ok(CHECK, 'has dropped no message since it started')];
  return [
    warn(
      CHECK,
      `has dropped ${dropped} messages since it started: a queue of a client was full`,
      'Set max_queued_messages 0 and max_queued_bytes 0, if it was the queue of a bridge',
    ),
  ];
}

/** No client can see these, so nothing is claimed about them. */
function unseen(system: ReadonlyMap<string, string>, { isConfigurationChecked }: BrokerNeeds): Finding[] {
  if (isConfigurationChecked) return [];
  const isMosquitto = brokerName(system)?.startsWith('mosquitto') === true;
  const settings = isMosquitto
    ? 'persistence true, autosave_on_changes true, autosave_interval 1, max_queued_messages 0, message_size_limit, an access list'
    : 'persistence of sessions and messages to disk before they are acknowledged, no limit on queued messages, an access list that ties a device id to a user';
  const what = 'whether it keeps messages on disk, and how many it queues while a bridge is away, cannot be seen from outside';
  return [warn(CHECK, what, `Look for these in its configuration: ${settings} (docs/OPERATING.md); then --broker-checked`)];
}
