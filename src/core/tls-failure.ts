// What went wrong between two ends of a TLS connection, by the words of Node and OpenSSL: the client libraries wrap the error, and often
// keep nothing but its message. test/integration/security-*.test.ts hold the words against real servers.

/** Names of the settings of one connection, for the advice. */
export interface TlsSettingNames {
  /** Where the address is set: `MQTT_URL`. */
  readonly address: string;
  readonly ca: string;
  /** Our own certificate and its key. */
  readonly certificate: string;
}

const KINDS: readonly (readonly [RegExp, (names: TlsSettingNames) => string])[] = [
  [
    /self.signed certificate|unable to (get|verify)[\w ]* certificate|certificate signature failure|invalid CA certificate/i,
    ({ ca }) => `Its certificate is signed by no CA that we trust: give the right one with ${ca}`,
  ],
  [
    /does not match certificate's altnames/,
    ({ address }) => `Its certificate is for another name: use in ${address} a name that is in the certificate`,
  ],
  [
    /certificate (has expired|is not yet valid)/,
    () => 'Its certificate is not valid today: renew it, or correct the clock of this machine',
  ],
  [
    /alert (certificate|bad certificate|unknown ca|handshake failure|unsupported certificate|access denied|no certificate)/i,
    ({ certificate }) => `It does not accept our certificate, or wants one: see ${certificate}`,
  ],
  [/wrong version number|packet length too long|http request/i, ({ address }) => `It speaks no TLS at this port: see ${address}`],
];

/** What to do about it, a sentence without its full stop; null when the message tells of no failure of TLS. */
export function tlsAdvice(message: string, names: TlsSettingNames): string | null {
  return KINDS.find(([pattern]) => pattern.test(message))?.[1](names) ?? null;
}
