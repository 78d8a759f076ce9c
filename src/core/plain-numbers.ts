// Numbers in a row, for state that there is very much of. A field of an object that holds a fraction or a time is a small object of its own, which
// the collector visits and which lies elsewhere; an array that has only ever held such numbers is one piece of memory in which it looks at nothing.

/** The numbers as such an array, also when they are all small integers; so is each `slice` of it. Nothing but numbers may be put into it. */
export function plainNumbers(numbers: readonly number[]): number[] {
  const plain = [0.5];
  plain.pop();
  for (const number of numbers) plain.push(number);
  return plain;
}
