// User properties in the properties of an MQTT 5 PUBLISH (section 3.3.2.3), read from the bytes on the wire.

const USER_PROPERTY = 0x26;

/** How the value of each other property of a PUBLISH is written (MQTT5 2.2.2.2). */
const FIXED_BYTES: Readonly<Record<number, number>> = { 1: 1, 2: 4, 35: 2 };
const LENGTH_PREFIXED: ReadonlySet<number> = new Set([3, 8, 9]);
const SUBSCRIPTION_IDENTIFIER = 0x0b;

const utf8 = new TextDecoder();

/** The values by name, in order: a name may be given several times. Stops where the bytes make no sense. */
export function userPropertiesOf(properties: Uint8Array): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (let at = 0; at >= 0 && at < properties.length; ) {
    const id = properties[at]!;
    if (id !== USER_PROPERTY) {
      at = endOfValue(id, properties, at + 1);
      continue;
    }
    const nameEnd = endOfString(properties, at + 1);
    const valueEnd = nameEnd < 0 ? -1 : endOfString(properties, nameEnd);
    if (valueEnd < 0) return found;
    const name = utf8.decode(properties.subarray(at + 3, nameEnd));
    const value = utf8.decode(properties.subarray(nameEnd + 2, valueEnd));
    const values = found.get(name);
    if (values === undefined) found.set(name, [value]);
    else values.push(value);
    at = valueEnd;
  }
  return found;
}

/** -1 when there is no such property, or the bytes end before it does. */
function endOfValue(id: number, properties: Uint8Array, at: number): number {
  if (LENGTH_PREFIXED.has(id)) return endOfString(properties, at);
  if (id === SUBSCRIPTION_IDENTIFIER) return endOfNumber(properties, at);
  const bytes = FIXED_BYTES[id];
  return bytes === undefined ? -1 : at + bytes;
}

/** Two bytes of length, then the text or the bytes. */
function endOfString(properties: Uint8Array, at: number): number {
  if (at + 2 > properties.length) return -1;
  const end = at + 2 + ((properties[at]! << 8) | properties[at + 1]!);
  return end <= properties.length ? end : -1;
}

/** A variable byte integer has at most four bytes, and its last one is below 0x80. */
function endOfNumber(properties: Uint8Array, at: number): number {
  for (let i = at; i < at + 4; i++) if ((properties[i] ?? 0) < 0x80) return i + 1;
  return -1;
}
