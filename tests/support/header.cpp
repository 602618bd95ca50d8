// What a data acquisition does with calodqm.hpp, for test_cpp_header: `header WHAT BOOTSTRAP`, a line a fact.
#include "calodqm.hpp"

#include <chrono>
#include <iostream>
#include <string>
#include <thread>

using namespace std::chrono;

constexpr int cells = 504;
constexpr std::int64_t start_ns = 1'767'225'600'000'000'000;
float energies[cells];

calodqm::Settings settings(const char* bootstrap) {
  return {.bootstrap = bootstrap, .producer = "header", .geometry = "pb-lar-504", .cells = cells};
}

void tell(const std::string& text) { std::cout << "error " << text << std::endl; }

calodqm::Shower shower(std::uint64_t event) {
  return {.event = event, .time_ns = start_ns + static_cast<std::int64_t>(event), .run = 1, .lumisection = 1,
          .region = 0, .cells = energies, .seed = static_cast<std::uint32_t>(7 + event)};
}

/// Blocks of two: what is full goes at once, the rest with `flush`.
void size(calodqm::Settings given) {
  given.block = 2, given.age = minutes(1), given.seeds = true;
  calodqm::Producer producer(given, tell);
  for (std::uint64_t event = 0; event < 5; ++event) producer.append(event == 4 ? "B" : "A", shower(event));
  producer.append("A", shower(5));
  std::cout << "flushed " << producer.flush(seconds(30)) << " sent " << producer.sent() << std::endl;
}

/// One shower that never fills its block.
void age(calodqm::Settings given) {
  given.age = milliseconds(300);
  calodqm::Producer producer(given, tell);
  const auto began = steady_clock::now();
  producer.append("A", shower(0));
  producer.poll();
  const auto at_once = producer.sent();
  while (!producer.sent() && steady_clock::now() - began < seconds(30)) {
    std::this_thread::sleep_for(milliseconds(5));
    producer.poll();
  }
  const auto took = duration_cast<milliseconds>(steady_clock::now() - began).count();
  std::cout << "at once " << at_once << " later " << producer.sent() << " after " << took << std::endl;
}

/// A broker that is not there: the queue has room for three records.
void slow(calodqm::Settings given) {
  given.block = 1, given.patience = milliseconds(400), given.kafka["queue.buffering.max.messages"] = "3";
  given.kafka["message.timeout.ms"] = "2000";
  calodqm::Producer producer(given, tell);
  std::uint64_t taken = 0;
  auto began = steady_clock::now();
  while (taken < 10 && producer.append("A", shower(taken))) ++taken, began = steady_clock::now();
  const auto took = duration_cast<milliseconds>(steady_clock::now() - began).count();
  std::cout << "taken " << taken << " waited " << took << std::endl;
  while (producer.lost() < 3) producer.poll(), std::this_thread::sleep_for(milliseconds(20));
  const bool again = producer.append("A", shower(taken));
  std::cout << "lost " << producer.lost() << " sent " << producer.sent() << " again " << again << std::endl;
}

int main(int, char** words) {
  const std::string what = words[1];
  if (what == "size") size(settings(words[2]));
  if (what == "age") age(settings(words[2]));
  if (what == "slow") slow(settings(words[2]));
  std::cout << "ended" << std::endl;
}
