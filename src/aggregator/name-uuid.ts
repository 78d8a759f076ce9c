import { createHash } from 'node:crypto';

/** Namespace of all ids that Ingot derives from names (docs/FOLD.md). */
const NAMESPACE = Buffer.from('6f1d3c528a0e5b7c9f442d1e6c0a7b38', 'hex');

/** UUIDv5 (RFC 9562, section 5.5) of the parts joined by newlines, which no part may hold. */
export function nameUuid(parts: readonly string[]): string {
  const hash = createHash('sha1').update(NAMESPACE).update(parts.join('\n')).digest().subarray(0, 16);
  hash[6] = (hash[6]! & 0x0f) | 0x50;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
