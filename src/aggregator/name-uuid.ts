import { hash } from 'node:crypto';

/** Namespace of all ids that Ingot derives from names (docs/FOLD.md). */
const NAMESPACE = Buffer.from('6f1d3c528a0e5b7c9f442d1e6c0a7b38', 'hex');

/** What is hashed, for names of up to 1 000 bytes: new memory for each costs as much as the hash. */
const usual = Buffer.alloc(NAMESPACE.length + 1_000);
NAMESPACE.copy(usual);

/** UUIDv5 (RFC 9562, section 5.5) of the parts joined by newlines, which no part may hold. */
export function nameUuid(parts: readonly string[]): string {
  const hex = hash('sha1', inNamespace(parts.join('\n')), 'hex');
  const variant = (Number.parseInt(hex[16]!, 16) & 0x3) | 0x8;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant.toString(16)}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The name's bytes behind those of the namespace: a view that the next call overwrites. */
function inNamespace(name: string): Buffer {
  // A UTF-16 unit has three bytes at most.
  if (NAMESPACE.length + 3 * name.length > usual.length) return Buffer.concat([NAMESPACE, Buffer.from(name)]);
  return usual.subarray(0, NAMESPACE.length + usual.write(name, NAMESPACE.length));
}
