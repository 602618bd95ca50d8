//! Sends blocks of showers to calodqm: `daq BOOTSTRAP [RECORDS]`, so many records for each key.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, TimestampNanosecondArray, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_ipc::CompressionType;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::ClientContext;

const TOPIC: &str = "calo.showers.v1";
const GEOMETRY: &str = "pb-lar-504";
const PRODUCER: &str = "daq-rust";
const CELLS: usize = 504;

/// A block of showers as your data acquisition has it: a column each, of one length.
struct Block {
    event: Vec<u64>,
    /// ns since 1970 UTC
    time: Vec<i64>,
    run: Vec<u32>,
    lumisection: Vec<u32>,
    region: Vec<u16>,
    /// MeV, NaN where unknown
    incident: Vec<f32>,
    /// MeV, shower after shower
    cells: Vec<f32>,
}

/// Returns the value of one record: an Arrow stream with one batch.
fn record(block: Block, seq: u64) -> Result<(Vec<u8>, usize), Box<dyn Error>> {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let size = CELLS as i32;
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let fields = vec![
        Field::new("event_id", DataType::UInt64, false),
        Field::new("time", time, false),
        Field::new("run", DataType::UInt32, false),
        Field::new("lumisection", DataType::UInt32, false),
        Field::new("region", DataType::UInt16, false),
        Field::new("e_inc", DataType::Float32, false),
        Field::new("showers", DataType::FixedSizeList(item.clone(), size), false),
    ];
    // The metadata belong to the schema, so each record has a schema of its own.
    let about = HashMap::from([
        ("calodqm.schema".to_string(), "1".to_string()),
        ("calodqm.geometry".to_string(), GEOMETRY.to_string()),
        ("calodqm.producer".to_string(), PRODUCER.to_string()),
        ("calodqm.seq".to_string(), seq.to_string()),
    ]);
    let schema = Arc::new(Schema::new(fields).with_metadata(about));
    let n = block.event.len();
    let energies: ArrayRef = Arc::new(Float32Array::from(block.cells));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(block.event)),
        Arc::new(TimestampNanosecondArray::from(block.time).with_timezone("UTC")),
        Arc::new(UInt32Array::from(block.run)),
        Arc::new(UInt32Array::from(block.lumisection)),
        Arc::new(UInt16Array::from(block.region)),
        Arc::new(Float32Array::from(block.incident)),
        Arc::new(FixedSizeListArray::try_new(item, size, energies, None)?),
    ];
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options)?;
    writer.write(&batch)?;
    writer.finish()?;
    Ok((writer.into_inner()?, n))
}

/// Makes showers up: replace it by what your data acquisition has read.
fn block(sector: usize, seq: usize, n: usize) -> Block {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as i64;
    Block {
        event: (0..n).map(|i| ((seq * 4 + sector) * n + i) as u64).collect(),
        time: (0..n).map(|i| now + 1000 * i as i64).collect(),
        run: vec![1; n],
        lumisection: vec![1; n],
        region: (0..n).map(|i| (4 * sector + i % 4) as u16).collect(),
        incident: vec![5000.0; n],
        cells: (0..n * CELLS).map(|v| 0.25 * (v % CELLS % 40) as f32).collect(),
    }
}

/// Hears what became of each record.
struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, _)) = result {
            eprintln!("lost: {error}");
            std::process::exit(1);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let records: usize = arguments.get(2).map_or(Ok(16), |text| text.parse())?;
    let producer: ThreadedProducer<Deliveries> = ClientConfig::new()
        .set("bootstrap.servers", &arguments[1])
        .set("enable.idempotence", "true")
        .set("message.max.bytes", "8388608")
        // As Java and Go place keys; librdkafka's own default is another.
        .set("partitioner", "murmur2_random")
        .create_with_context(Deliveries)?;
    let mut sent = 0;
    for seq in 0..records {
        // a count of its own for each key, from 0
        for (sector, key) in ["A", "B", "C", "D"].into_iter().enumerate() {
            let (value, n) = record(block(sector, seq, 64), seq as u64)?;
            let mut message = BaseRecord::to(TOPIC).key(key).payload(&value);
            // A full queue is back-pressure: wait until there is room.
            while let Err((error, again)) = producer.send(message) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                producer.poll(Duration::from_millis(100));
                message = again;
            }
            sent += n;
        }
    }
    producer.flush(Duration::from_secs(60))?;
    println!("sent {sent} showers in {} records", 4 * records);
    Ok(())
}
