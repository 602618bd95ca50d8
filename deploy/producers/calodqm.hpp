// calodqm.hpp: sends showers to calodqm from C++20, with Apache Arrow and librdkafka.
//
// Take this file as it is. One `Producer` a thread: append showers; it makes blocks of one key,
// sends each when it is full or old, counts the records of each key, and waits where the broker is slow.
//
//   calodqm::Producer producer({.bootstrap = "broker:9092", .producer = "daq-1",
//                               .geometry = "pb-lar-504", .cells = 504},
//                              [](const std::string& text) { std::cerr << text << '\n'; });
//   producer.append("A", {.event = 1, .time_ns = now, .run = 7, .lumisection = 3, .region = 2,
//                         .e_inc = NAN, .cells = energies});
//   producer.flush(std::chrono::seconds(30));
#pragma once

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/writer.h>
#include <arrow/util/compression.h>
#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace calodqm {

/// What a producer needs to know; what has no default must be given.
struct Settings {
  std::string bootstrap;              ///< brokers, host:port, comma-separated
  std::string producer;               ///< your name, at most 64 characters
  std::string geometry;               ///< its name in the geometry file
  int cells = 0;                      ///< cells of a shower
  std::vector<std::string> conditions = {};  ///< names of further conditions, if the model needs any
  bool seeds = false;                 ///< say the channel that each shower is centred on
  std::string topic = "calo.showers.v1";
  std::size_t block = 256;            ///< showers in a record: it must stay under what the broker takes
  std::chrono::milliseconds age{250}; ///< a block is sent when its first shower has waited so long
  std::chrono::milliseconds patience{10'000};  ///< `append` waits so long for room, then gives up
  bool compress = true;               ///< lz4 of the buffers inside
  std::map<std::string, std::string> kafka = {};  ///< further settings of librdkafka: TLS, SASL, ...
};

/// One shower; the energies are copied.
struct Shower {
  std::uint64_t event = 0;
  std::int64_t time_ns = 0;           ///< ns since 1970 UTC
  std::uint32_t run = 0;
  std::uint32_t lumisection = 0;
  std::uint16_t region = 0;           ///< as the detector file has it
  float e_inc = NAN;                  ///< MeV; NaN where unknown
  const float* cells = nullptr;       ///< MeV, in the order of the geometry file
  const float* conditions = nullptr;  ///< in the order of `Settings::conditions`
  std::uint32_t seed = 0;             ///< id of the channel, with `Settings::seeds`
};

class Producer {
 public:
  /// Called with one line for each record that is lost, and with what librdkafka complains of.
  using OnError = std::function<void(const std::string&)>;

  /// Throws std::runtime_error if a setting is wrong; a broker that is down is no error here.
  Producer(Settings settings, OnError on_error)
      : settings_(std::move(settings)), on_error_(std::move(on_error)), options_(made_options()) {
    if (settings_.cells < 1 || settings_.block < 1) throw std::runtime_error("cells and block must be > 0");
    std::map<std::string, std::string> given = {
        {"bootstrap.servers", settings_.bootstrap},
        {"enable.idempotence", "true"},         // nothing twice, nothing out of order
        {"partitioner", "murmur2_random"},      // as Java and Go place keys
        {"compression.type", "none"},           // the buffers inside are compressed already
        {"message.max.bytes", "8388608"},
        {"queue.buffering.max.kbytes", "65536"},  // beyond it `append` waits
        {"linger.ms", "5"},
    };
    for (const auto& [name, value] : settings_.kafka) given[name] = value;
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char text[512];
    for (const auto& [name, value] : given) {
      if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text, sizeof text) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        throw std::runtime_error(text);
      }
    }
    rd_kafka_conf_set_opaque(conf, this);
    rd_kafka_conf_set_dr_msg_cb(conf, &Producer::delivered);
    rd_kafka_conf_set_error_cb(conf, &Producer::complained);
    kafka_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);  // owns conf now
    if (kafka_ == nullptr) {
      rd_kafka_conf_destroy(conf);
      throw std::runtime_error(text);
    }
  }

  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  /// Sends what is there, for ten seconds at most; what is still there then is told as lost.
  ~Producer() {
    try {
      if (!flush(std::chrono::seconds(10))) {
        rd_kafka_purge(kafka_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(kafka_, 1000);
      }
    } catch (const std::exception& error) {
      on_error_(error.what());
    }
    rd_kafka_destroy(kafka_);
  }

  /// Takes a shower of a key: the part of the detector that must stay in order, a sector for instance.
  /// Waits while the broker is slow; false if it still was after `patience`: this shower is then not
  /// taken, and may be given again. Throws std::runtime_error where waiting does not help: a record that
  /// is too large, a right that is missing.
  bool append(const std::string& key, const Shower& shower) {
    Block& block = blocks_[key];
    // A full block that could not be sent is tried again before anything is added to it.
    if (block.event.size() >= settings_.block && !send(key, block)) return false;
    block.add(shower, settings_);
    if (block.event.size() >= settings_.block || block.old(settings_.age)) send(key, block);
    return true;
  }

  /// Sends blocks that are old, and hears what became of records; call it while there are no showers.
  void poll() {
    for (auto& [key, block] : blocks_)
      if (block.old(settings_.age)) send(key, block);
    rd_kafka_poll(kafka_, 0);
  }

  /// Sends everything and waits for it; false if something is still under way after some time.
  bool flush(std::chrono::milliseconds wait) {
    bool all = true;
    for (auto& [key, block] : blocks_) all = send(key, block) && all;
    return rd_kafka_flush(kafka_, static_cast<int>(wait.count())) == RD_KAFKA_RESP_ERR_NO_ERROR && all;
  }

  std::uint64_t sent() const { return sent_; }  ///< records that the broker has
  std::uint64_t lost() const { return lost_; }  ///< records that it did not take in time

 private:
  using Clock = std::chrono::steady_clock;

  /// Showers of one key on their way into a record, a column each.
  struct Block {
    std::vector<std::uint64_t> event;
    std::vector<std::int64_t> time;
    std::vector<std::uint32_t> run, lumisection, seed;
    std::vector<std::uint16_t> region;
    std::vector<float> e_inc, cells;
    std::vector<std::vector<float>> conditions;
    Clock::time_point began;
    std::int64_t seq = 0;

    void add(const Shower& shower, const Settings& settings) {
      if (event.empty()) began = Clock::now();
      event.push_back(shower.event);
      time.push_back(shower.time_ns);
      run.push_back(shower.run);
      lumisection.push_back(shower.lumisection);
      region.push_back(shower.region);
      e_inc.push_back(shower.e_inc);
      cells.insert(cells.end(), shower.cells, shower.cells + settings.cells);
      conditions.resize(settings.conditions.size());
      for (std::size_t i = 0; i < conditions.size(); ++i) conditions[i].push_back(shower.conditions[i]);
      if (settings.seeds) seed.push_back(shower.seed);
    }

    bool old(std::chrono::milliseconds age) const { return !event.empty() && Clock::now() - began >= age; }

    /// Empties the columns and keeps their memory.
    void clear() {
      event.clear(), time.clear(), run.clear(), lumisection.clear(), region.clear(), seed.clear();
      e_inc.clear(), cells.clear();
      for (auto& values : conditions) values.clear();
    }
  };

  arrow::ipc::IpcWriteOptions made_options() const {
    auto options = arrow::ipc::IpcWriteOptions::Defaults();
    options.use_threads = false;
    if (settings_.compress) {
      auto codec = arrow::util::Codec::Create(arrow::Compression::LZ4_FRAME);
      if (!codec.ok()) throw std::runtime_error(codec.status().ToString());
      options.codec = std::move(*codec);
    }
    return options;
  }

  template <typename T>
  static std::shared_ptr<arrow::Array> column(const std::shared_ptr<arrow::DataType>& type,
                                              const std::vector<T>& values) {
    const auto n = static_cast<std::int64_t>(values.size());
    return arrow::MakeArray(arrow::ArrayData::Make(type, n, {nullptr, arrow::Buffer::Wrap(values)}, 0));
  }

  /// The value of one record: an Arrow stream with one batch.
  arrow::Result<std::shared_ptr<arrow::Buffer>> record(const Block& block) const {
    const auto n = static_cast<std::int64_t>(block.event.size());
    auto energies = column(arrow::float32(), block.cells);
    std::vector<std::pair<std::string, std::shared_ptr<arrow::Array>>> columns = {
        {"event_id", column(arrow::uint64(), block.event)},
        {"time", column(arrow::timestamp(arrow::TimeUnit::NANO, "UTC"), block.time)},
        {"run", column(arrow::uint32(), block.run)},
        {"lumisection", column(arrow::uint32(), block.lumisection)},
        {"region", column(arrow::uint16(), block.region)},
        {"e_inc", column(arrow::float32(), block.e_inc)},
        {"showers", std::make_shared<arrow::FixedSizeListArray>(
                        arrow::fixed_size_list(arrow::float32(), settings_.cells), n, energies)},
    };
    for (std::size_t i = 0; i < block.conditions.size(); ++i)
      columns.emplace_back(settings_.conditions[i], column(arrow::float32(), block.conditions[i]));
    if (settings_.seeds) columns.emplace_back("seed", column(arrow::uint32(), block.seed));
    arrow::FieldVector fields;
    arrow::ArrayVector arrays;
    for (auto& [name, array] : columns) {
      fields.push_back(arrow::field(name, array->type(), /*nullable=*/false));
      arrays.push_back(array);
    }
    // The metadata belong to the schema, so each record has a schema of its own.
    auto about = arrow::key_value_metadata(
        {"calodqm.schema", "calodqm.geometry", "calodqm.producer", "calodqm.seq"},
        {"1", settings_.geometry, settings_.producer, std::to_string(block.seq)});
    auto schema = arrow::schema(fields, about);
    ARROW_ASSIGN_OR_RAISE(auto sink, arrow::io::BufferOutputStream::Create(n * (4 * settings_.cells + 64)));
    ARROW_ASSIGN_OR_RAISE(auto writer, arrow::ipc::MakeStreamWriter(sink, schema, options_));
    ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(*arrow::RecordBatch::Make(schema, n, arrays)));
    ARROW_RETURN_NOT_OK(writer->Close());
    return sink->Finish();
  }

  /// Hands a block over; true if there is nothing left of it.
  bool send(const std::string& key, Block& block) {
    rd_kafka_poll(kafka_, 0);
    if (block.event.empty()) return true;
    auto made = record(block);
    if (!made.ok()) throw std::runtime_error(made.status().ToString());
    // Kept until the broker has it: librdkafka sends from our buffer.
    auto held = std::make_unique<std::shared_ptr<arrow::Buffer>>(*made);
    const auto until = Clock::now() + settings_.patience;
    for (;;) {
      const auto error = rd_kafka_producev(
          kafka_, RD_KAFKA_V_TOPIC(settings_.topic.c_str()), RD_KAFKA_V_KEY(key.data(), key.size()),
          RD_KAFKA_V_VALUE(const_cast<std::uint8_t*>((*held)->data()), static_cast<size_t>((*held)->size())),
          RD_KAFKA_V_OPAQUE(held.get()), RD_KAFKA_V_END);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) break;
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) throw std::runtime_error(rd_kafka_err2str(error));
      if (Clock::now() >= until) return false;
      rd_kafka_poll(kafka_, 50);
    }
    held.release();  // `delivered` ends it
    ++block.seq;
    block.clear();
    return true;
  }

  static void delivered(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    auto* self = static_cast<Producer*>(opaque);
    delete static_cast<std::shared_ptr<arrow::Buffer>*>(message->_private);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      ++self->sent_;
      return;
    }
    ++self->lost_;
    const std::string key(static_cast<const char*>(message->key), message->key_len);
    self->on_error_("a record of key " + key + " is lost: " + rd_kafka_err2str(message->err));
  }

  static void complained(rd_kafka_t*, int error, const char* reason, void* opaque) {
    const auto* name = rd_kafka_err2str(static_cast<rd_kafka_resp_err_t>(error));
    static_cast<Producer*>(opaque)->on_error_(std::string(name) + ": " + reason);
  }

  Settings settings_;
  OnError on_error_;
  arrow::ipc::IpcWriteOptions options_;
  std::map<std::string, Block> blocks_;
  rd_kafka_t* kafka_ = nullptr;
  std::uint64_t sent_ = 0, lost_ = 0;
};

}  // namespace calodqm
