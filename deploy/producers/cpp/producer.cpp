// Sends blocks of showers to calodqm: `producer BOOTSTRAP [RECORDS]`, so many records for each key.
#include "../calodqm.hpp"

#include <chrono>
#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  using namespace std::chrono;
  constexpr int cells = 504, showers = 64;
  const int records = argc > 2 ? std::atoi(argv[2]) : 16;
  bool failed = false;
  calodqm::Producer producer({.bootstrap = argv[1],
                              .producer = "daq-cpp",
                              .geometry = "pb-lar-504",
                              .cells = cells,
                              .block = showers,
                              .age = seconds(60)},  // blocks of one size here; leave it out
                             [&](const std::string& text) {
                               std::cerr << text << '\n';
                               failed = true;
                             });
  // What your data acquisition has read stands in the place of this.
  float energies[cells];
  for (int v = 0; v < cells; ++v) energies[v] = 0.25f * (v % 40);
  std::uint64_t event = 0;
  const auto began = steady_clock::now();
  for (int i = 0; i < records * showers; ++i) {
    for (int sector = 0; sector < 4; ++sector) {
      const std::string key(1, static_cast<char>('A' + sector));
      const auto now = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
      calodqm::Shower shower{.event = event++, .time_ns = now, .run = 1, .lumisection = 1,
                             .region = static_cast<std::uint16_t>(4 * sector + i % 4), .e_inc = 5000.0f,
                             .cells = energies};
      if (!producer.append(key, shower)) return std::cerr << "the broker is too slow\n", 1;
    }
  }
  const double took = duration<double, std::micro>(steady_clock::now() - began).count();
  if (!producer.flush(seconds(60)) || failed) return 1;
  std::cout << "sent " << event << " showers in " << producer.sent() << " records, " << took / event
            << " us a shower\n";
}
