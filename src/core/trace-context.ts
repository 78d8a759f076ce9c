import { userPropertiesOf } from './user-properties.ts';

// W3C Trace Context (Recommendation of 23 November 2021): who publishes a message may say to which trace it belongs, in the MQTT 5 user
// properties `traceparent` and `tracestate`. They are passed on as Kafka headers of the same names, which is where tracing tools look.

/** Headers in the order in which they are written; one or two. */
export type TraceContext = readonly (readonly [name: 'traceparent' | 'tracestate', value: string])[];

/** Version 00 has exactly this form; a later one may go on after a hyphen (section 3.2.2, 4.3). */
const TRACE_PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[\x21-\x7e]*)?$/;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);
const TRACE_PARENT_LENGTH_MAX = 256;

/** Section 3.3.1.1 asks for 512 characters to be passed on, and 32 members are allowed. */
const TRACE_STATE_LENGTH_MAX = 512;
const TRACE_STATE_MEMBERS_MAX = 32;
/** Section 3.3.1.3: keys with an optional tenant, values of printable ASCII without comma and equals sign. */
const TRACE_STATE_MEMBER =
  /^([a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

const utf8 = new TextDecoder();

/** The context in the properties of an MQTT 5 PUBLISH, as they are on the wire without their length; null when there is none. */
export function traceContextIn(properties: Uint8Array): TraceContext | null {
  const found = userPropertiesOf(properties);
  const parents = found.get('traceparent');
  // Two of them are none (section 3.2.1); several states are one list (3.3.1).
  if (parents?.length !== 1) return null;
  return traceContextOf(parents[0]!, found.get('tracestate')?.join(',') ?? '');
}

/** The context in the headers of a record, which anybody may have written; null when there is none. */
export function traceContextOfHeaders(headers: ReadonlyMap<string, Uint8Array>): TraceContext | null {
  const parent = headers.get('traceparent');
  if (parent === undefined) return null;
  const state = headers.get('tracestate');
  return traceContextOf(utf8.decode(parent), state === undefined ? '' : utf8.decode(state));
}

/**
 * The context as it may be passed on, or null. A malformed `traceparent` counts as none, and so does its `tracestate` then. A malformed
 * `tracestate` is left out, and the trace goes on without it.
 */
export function traceContextOf(traceParent: string, traceState: string): TraceContext | null {
  if (!isTraceParent(traceParent)) return null;
  const parent = ['traceparent', traceParent] as const;
  return isTraceState(traceState) ? [parent, ['tracestate', traceState]] : [parent];
}

function isTraceParent(text: string): boolean {
  if (text.length > TRACE_PARENT_LENGTH_MAX) return false;
  const [, version, traceId, parentId, more] = TRACE_PARENT.exec(text) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return false;
  return traceId !== NO_TRACE && parentId !== NO_SPAN;
}

function isTraceState(text: string): boolean {
  if (text.length > TRACE_STATE_LENGTH_MAX) return false;
  const members = text
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '');
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))));
  const isSound = members.every((member) => TRACE_STATE_MEMBER.test(member));
  return isSound && members.length > 0 && members.length <= TRACE_STATE_MEMBERS_MAX && keys.size === members.length;
}
