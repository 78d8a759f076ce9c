// What all requests of ours have in common (protocol guide, "Request Header v1"): the size, the header, strings.

/** What stands in front of every request (header version 1), its size excepted. */
export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string;
}

const SIZE_BYTES = 4;
const NULL_STRING = -1;

/** Bytes in front of the body: the size and the header. */
export function headerBytes(clientId: string): number {
  return SIZE_BYTES + 2 + 2 + 4 + stringBytes(clientId);
}

/** Writes size and header to the beginning of `into` and returns where the body begins. `bytes`: of the whole request, its size included. */
export function writeHeader(into: Buffer, header: RequestHeader, bytes: number): number {
  let at = into.writeInt32BE(bytes - SIZE_BYTES, 0);
  at = into.writeInt16BE(header.apiKey, at);
  at = into.writeInt16BE(header.apiVersion, at);
  at = into.writeInt32BE(header.correlationId, at);
  return writeString(into, at, header.clientId);
}

export function stringBytes(text: string | null): number {
  return 2 + (text === null ? 0 : Buffer.byteLength(text));
}

export function writeString(into: Buffer, at: number, text: string | null): number {
  if (text === null) return into.writeInt16BE(NULL_STRING, at);
  const bytes = into.write(text, at + 2);
  return into.writeInt16BE(bytes, at) + bytes;
}

/** Where a string ends that begins at `at`. */
export function afterString(answer: Buffer, at: number): number {
  return at + 2 + Math.max(0, answer.readInt16BE(at));
}
