// Record batch v2, the form in which Kafka stores and sends records: see the Kafka protocol guide, "Record Batch".
// STUB SIGNATURES while the parts are being written.
