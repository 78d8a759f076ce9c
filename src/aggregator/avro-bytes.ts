import { varintSize, writeVarint } from '../core/varint.ts';

/** Avro's primitives, written one after the other into one growing buffer that is used again and again. */
export class AvroBytes {
  private bytes = Buffer.allocUnsafeSlow(1024);
  private view = new DataView(this.bytes.buffer);
  private at = 0;

  reset(): void {
    this.at = 0;
  }

  /** What was written since `reset`: a view, overwritten after the next one. */
  taken(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  byte(value: number): void {
    this.makeRoom(1);
    this.bytes[this.at++] = value;
  }

  boolean(value: boolean): void {
    this.byte(value ? 1 : 0);
  }

  /** A safe integer: of an int, a long, an enum, or the count of a block. */
  long(value: number): void {
    this.makeRoom(10);
    this.at = writeVarint(this.bytes, this.at, value);
  }

  double(value: number): void {
    this.makeRoom(8);
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  string(text: string): void {
    const start = this.at;
    const { length } = text;
    this.makeRoom(10 + 3 * length);
    const { bytes } = this;
    let at = writeVarint(bytes, start, length);
    for (let index = 0; index < length; index += 1) {
      const unit = text.charCodeAt(index);
      if (unit >= 0x80) {
        this.unicode(text);
        return;
      }
      bytes[at++] = unit;
    }
    this.at = at;
  }

  private unicode(text: string): void {
    const encoded = Buffer.from(text);
    this.makeRoom(varintSize(encoded.length) + encoded.length);
    this.at = writeVarint(this.bytes, this.at, encoded.length);
    this.bytes.set(encoded, this.at);
    this.at += encoded.length;
  }

  private makeRoom(size: number): void {
    if (this.at + size <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, this.at + size));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }
}
