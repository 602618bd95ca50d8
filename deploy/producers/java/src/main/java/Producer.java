import java.io.ByteArrayOutputStream;
import java.nio.channels.Channels;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.arrow.compression.CommonsCompressionFactory;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.TimeStampNanoTZVector;
import org.apache.arrow.vector.UInt2Vector;
import org.apache.arrow.vector.UInt4Vector;
import org.apache.arrow.vector.UInt8Vector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.compression.CompressionUtil.CodecType;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.ipc.message.IpcOption;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends blocks of showers to calodqm: {@code Producer BOOTSTRAP [RECORDS]}, so many for each key. */
public class Producer {
  static final String TOPIC = "calo.showers.v1";
  static final String GEOMETRY = "pb-lar-504";
  static final String PRODUCER = "daq-java";
  static final int CELLS = 504;

  /** A shower as your data acquisition has it; take your own. Times in ns, energies in MeV. */
  record Shower(
      long event, long time, int run, int lumisection, int region, float incident, float[] cells) {}

  static Field field(String name, ArrowType type, Field... children) {
    return new Field(name, FieldType.notNullable(type), List.of(children));
  }

  /** Returns the value of one record: an Arrow stream with one batch. */
  static byte[] record(BufferAllocator memory, List<Shower> showers, long seq) throws Exception {
    ArrowType f32 = new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE);
    Schema schema =
        new Schema(
            List.of(
                field("event_id", new ArrowType.Int(64, false)),
                field("time", new ArrowType.Timestamp(TimeUnit.NANOSECOND, "UTC")),
                field("run", new ArrowType.Int(32, false)),
                field("lumisection", new ArrowType.Int(32, false)),
                field("region", new ArrowType.Int(16, false)),
                field("e_inc", f32),
                field("showers", new ArrowType.FixedSizeList(CELLS), field("item", f32))),
            // The metadata belong to the schema, so each record has a schema of its own.
            Map.of(
                "calodqm.schema", "1",
                "calodqm.geometry", GEOMETRY,
                "calodqm.producer", PRODUCER,
                "calodqm.seq", Long.toString(seq)));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (VectorSchemaRoot root = VectorSchemaRoot.create(schema, memory);
        ArrowStreamWriter writer =
            new ArrowStreamWriter(
                root,
                null,
                Channels.newChannel(out),
                IpcOption.DEFAULT,
                CommonsCompressionFactory.INSTANCE,
                CodecType.ZSTD)) { // its lz4 is written in pure Java and ten times slower
      root.allocateNew();
      FixedSizeListVector lists = (FixedSizeListVector) root.getVector("showers");
      Float4Vector energies = (Float4Vector) lists.getDataVector();
      for (int i = 0; i < showers.size(); i++) {
        Shower s = showers.get(i);
        ((UInt8Vector) root.getVector("event_id")).setSafe(i, s.event());
        ((TimeStampNanoTZVector) root.getVector("time")).setSafe(i, s.time());
        ((UInt4Vector) root.getVector("run")).setSafe(i, s.run());
        ((UInt4Vector) root.getVector("lumisection")).setSafe(i, s.lumisection());
        ((UInt2Vector) root.getVector("region")).setSafe(i, s.region());
        ((Float4Vector) root.getVector("e_inc")).setSafe(i, s.incident());
        lists.setNotNull(i);
        for (int v = 0; v < CELLS; v++) {
          energies.setSafe(i * CELLS + v, s.cells()[v]);
        }
      }
      root.setRowCount(showers.size());
      writer.start();
      writer.writeBatch();
      writer.end();
    }
    return out.toByteArray();
  }

  /** Makes showers up: replace it by what your data acquisition has read. */
  static List<Shower> block(int sector, int seq, int n) {
    long now = System.currentTimeMillis() * 1_000_000;
    float[] cells = new float[CELLS];
    for (int v = 0; v < CELLS; v++) {
      cells[v] = 0.25f * (v % 40);
    }
    Shower[] showers = new Shower[n];
    for (int i = 0; i < n; i++) {
      long event = (seq * 4L + sector) * n + i;
      showers[i] = new Shower(event, now + i * 1000L, 1, 1, 4 * sector + i % 4, 5000f, cells);
    }
    return List.of(showers);
  }

  public static void main(String[] args) throws Exception {
    int records = args.length > 1 ? Integer.parseInt(args[1]) : 16;
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("acks", "all");
    // The buffers inside are compressed already: twice costs time and gains nothing.
    settings.put("compression.type", "none");
    settings.put("max.request.size", 8 << 20);
    AtomicReference<Exception> failure = new AtomicReference<>();
    long sent = 0;
    try (BufferAllocator memory = new RootAllocator();
        KafkaProducer<String, byte[]> producer =
            new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
      String[] keys = {"A", "B", "C", "D"};
      for (int seq = 0; seq < records; seq++) { // a count of its own for each key, from 0
        for (int sector = 0; sector < keys.length; sector++) {
          List<Shower> showers = block(sector, seq, 64);
          byte[] value = record(memory, showers, seq);
          // Waits where its buffer is full: back-pressure.
          producer.send(
              new ProducerRecord<>(TOPIC, keys[sector], value),
              (where, error) -> {
                if (error != null) {
                  failure.set(error);
                }
              });
          sent += showers.size();
        }
      }
    } // closing it sends what is under way
    if (failure.get() != null) {
      throw failure.get();
    }
    System.out.printf("sent %d showers in %d records%n", sent, 4 * records);
  }
}
