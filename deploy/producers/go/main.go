// Sends blocks of showers to calodqm: `go run . BOOTSTRAP [RECORDS]`, so many records for each key.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic    = "calo.showers.v1"
	geometry = "pb-lar-504"
	cells    = 504
	producer = "daq-go"
)

// A shower as your data acquisition has it; take your own.
type shower struct {
	event            uint64
	time             time.Time
	run, lumisection uint32
	region           uint16
	incident         float32 // MeV, NaN where unknown
	cells            [cells]float32
}

// record returns the value of one record: an Arrow stream with one batch.
func record(showers []shower, seq int64) ([]byte, error) {
	// The metadata belong to the schema, so each record has a schema of its own.
	about := arrow.NewMetadata(
		[]string{"calodqm.schema", "calodqm.geometry", "calodqm.producer", "calodqm.seq"},
		[]string{"1", geometry, producer, strconv.FormatInt(seq, 10)},
	)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "event_id", Type: arrow.PrimitiveTypes.Uint64},
		{Name: "time", Type: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}},
		{Name: "run", Type: arrow.PrimitiveTypes.Uint32},
		{Name: "lumisection", Type: arrow.PrimitiveTypes.Uint32},
		{Name: "region", Type: arrow.PrimitiveTypes.Uint16},
		{Name: "e_inc", Type: arrow.PrimitiveTypes.Float32},
		{Name: "showers", Type: arrow.FixedSizeListOfNonNullable(cells, arrow.PrimitiveTypes.Float32)},
	}, &about)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	lists := builder.Field(6).(*array.FixedSizeListBuilder)
	energies := lists.ValueBuilder().(*array.Float32Builder)
	for i := range showers {
		s := &showers[i]
		builder.Field(0).(*array.Uint64Builder).Append(s.event)
		builder.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(s.time.UnixNano()))
		builder.Field(2).(*array.Uint32Builder).Append(s.run)
		builder.Field(3).(*array.Uint32Builder).Append(s.lumisection)
		builder.Field(4).(*array.Uint16Builder).Append(s.region)
		builder.Field(5).(*array.Float32Builder).Append(s.incident)
		lists.Append(true)
		energies.AppendValues(s.cells[:], nil)
	}
	batch := builder.NewRecordBatch()
	defer batch.Release()
	var out bytes.Buffer
	writer := ipc.NewWriter(&out, ipc.WithSchema(schema), ipc.WithLZ4())
	if err := writer.Write(batch); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// block makes showers up: replace it by what your data acquisition has read.
func block(sector, seq, n int) []shower {
	showers := make([]shower, n)
	now := time.Now()
	for i := range showers {
		s := &showers[i]
		s.event = uint64((seq*4+sector)*n + i)
		s.time = now.Add(time.Duration(i) * time.Microsecond)
		s.run, s.lumisection = 1, 1
		s.region = uint16(4*sector + i%4)
		s.incident = 5000
		for v := range s.cells {
			s.cells[v] = 0.25 * float32(v%40)
		}
	}
	return showers
}

func run(bootstrap string, records int) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// The buffers inside are compressed already: twice costs time and gains nothing.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedBytes(64<<20), // beyond it Produce waits: back-pressure
		kgo.ProducerBatchMaxBytes(8<<20),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	var failures error
	sent := 0
	for seq := range records { // a count of its own for each key, from 0
		for sector, key := range []string{"A", "B", "C", "D"} {
			showers := block(sector, seq, 64)
			value, err := record(showers, int64(seq))
			if err != nil {
				return err
			}
			message := &kgo.Record{Topic: topic, Key: []byte(key), Value: value}
			client.Produce(context.Background(), message, func(_ *kgo.Record, err error) {
				failures = errors.Join(failures, err) // called by one goroutine, one at a time
			})
			sent += len(showers)
		}
	}
	if err := client.Flush(context.Background()); err != nil {
		return err
	}
	fmt.Printf("sent %d showers in %d records\n", sent, 4*records)
	return failures
}

func main() {
	records := 16
	if len(os.Args) > 2 {
		records, _ = strconv.Atoi(os.Args[2])
	}
	if err := run(os.Args[1], records); err != nil {
		log.Fatal(err)
	}
}
