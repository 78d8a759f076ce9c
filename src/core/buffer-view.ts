/** A view of the bytes of a buffer, which reads words wherever they begin. */
export function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}
