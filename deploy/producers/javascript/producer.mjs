// Sends blocks of showers to calodqm: `node producer.mjs BOOTSTRAP [RECORDS]`, so many for each key.
import * as arrow from 'apache-arrow';
import { Kafka, Partitioners, logLevel } from 'kafkajs';

const TOPIC = 'calo.showers.v1';
const GEOMETRY = 'pb-lar-504';
const PRODUCER = 'daq-javascript';
const CELLS = 504;

/** Return a column of a typed array. */
const column = (type, data) => arrow.makeData({ type, length: data.length, nullCount: 0, data });

/** Return the value of one record: an Arrow stream with one batch. `cells` is flat, shower after shower. */
export function record({ event, time, run, lumisection, region, incident, cells }, seq) {
  const length = event.length;
  const float = new arrow.Float32();
  const showers = arrow.makeData({
    type: new arrow.FixedSizeList(CELLS, new arrow.Field('item', float, false)),
    length,
    nullCount: 0,
    child: column(float, cells),
  });
  const columns = {
    event_id: column(new arrow.Uint64(), event),
    time: column(new arrow.TimestampNanosecond('UTC'), time),
    run: column(new arrow.Uint32(), run),
    lumisection: column(new arrow.Uint32(), lumisection),
    region: column(new arrow.Uint16(), region),
    e_inc: column(float, incident),
    showers,
  };
  // The metadata belong to the schema: a Table made of vectors by name would lose them.
  const about = new Map([
    ['calodqm.schema', '1'],
    ['calodqm.geometry', GEOMETRY],
    ['calodqm.producer', PRODUCER],
    ['calodqm.seq', String(seq)],
  ]);
  const fields = Object.entries(columns).map(([name, data]) => new arrow.Field(name, data.type, false));
  const schema = new arrow.Schema(fields, about);
  const type = new arrow.Struct(schema.fields);
  const rows = arrow.makeData({ type, length, nullCount: 0, children: Object.values(columns) });
  // Uncompressed: this library writes another length before a compressed buffer than others read.
  const writer = new arrow.RecordBatchStreamWriter();
  writer.write(new arrow.RecordBatch(schema, rows));
  writer.finish();
  return Buffer.from(writer.toUint8Array(true));
}

/** Make showers up: replace it by what your data acquisition has read. */
function block(sector, seq, n) {
  const now = BigInt(Date.now()) * 1_000_000n;
  const rows = [...Array(n).keys()];
  return {
    event: BigUint64Array.from(rows, (i) => BigInt((seq * 4 + sector) * n + i)),
    time: BigInt64Array.from(rows, (i) => now + BigInt(i) * 1000n),
    run: new Uint32Array(n).fill(1),
    lumisection: new Uint32Array(n).fill(1),
    region: Uint16Array.from(rows, (i) => 4 * sector + (i % 4)),
    incident: new Float32Array(n).fill(5000),
    cells: Float32Array.from({ length: n * CELLS }, (_, v) => 0.25 * ((v % CELLS) % 40)),
  };
}

const [bootstrap, records = '16'] = process.argv.slice(2);
const kafka = new Kafka({ clientId: PRODUCER, brokers: bootstrap.split(','), logLevel: logLevel.ERROR });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, maxInFlightRequests: 1 });
await producer.connect();
let sent = 0;
for (let seq = 0; seq < Number(records); seq++) { // a count of its own for each key, from 0
  const messages = ['A', 'B', 'C', 'D'].map((key, sector) => {
    const showers = block(sector, seq, 64);
    sent += showers.event.length;
    return { key, value: record(showers, seq) };
  });
  await producer.send({ topic: TOPIC, acks: -1, messages }); // waits for the broker: back-pressure
}
await producer.disconnect();
console.log(`sent ${sent} showers in ${4 * records} records`);
