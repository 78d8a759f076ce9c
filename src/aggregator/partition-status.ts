/** One partition as the terminal and the page show it. */
export interface PartitionStatus {
  readonly devices: number;
  readonly openParts: number;
  readonly alertsFiring: number;
  /** Records in the log that are not folded yet, as of the last answer. */
  readonly lagRecords: number;
}
