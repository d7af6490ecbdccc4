// Item "robustness": 20,000 damaged files end in a named error or a clean success, within the promised memory and time.
#include <gtest/gtest.h>

#include <ctime>
#include <map>

#include "runtime/base/units.h"
#include "runtime/gguf/reader.h"
#include "tests/gguf/allocation_count.h"
#include "tests/gguf/mutations.h"

namespace atlas::gguf {
namespace {

constexpr size_t kMutants = 20000;
constexpr uint64_t kAllowanceBytes = 64 * kMiB;
constexpr double kMaxSeconds = 5.0;

/// Reads whatever an accepted file offers, as a program would: a wrong size or offset shows under a sanitizer.
uint64_t touch_everything(const File& file) {
    uint64_t sum = 0;
    size_t n_lost = 0;  // one expectation at the end: a million of them would be most of the time that is measured
    for (const TensorInfo& tensor : file.tensors()) {
        const auto data = file.data(tensor);
        for (const std::byte b : data) sum += static_cast<uint64_t>(b);
        file.release(tensor, 0, data.size());
        n_lost += file.find_tensor(tensor.name) != &tensor;
    }
    for (const KeyValue& entry : file.key_values()) {
        n_lost += file.find(entry.key) != &entry;
        sum += file.u32_or(entry.key, 1) + file.string_or(entry.key, "").size();
        if (const auto numbers = file.integers(entry.key)) sum += numbers->size();
        if (const auto texts = file.strings(entry.key)) {
            for (const std::string& text : *texts) sum += text.size();
        }
    }
    EXPECT_EQ(n_lost, 0u);
    return sum;
}

bool names_a_field(const std::string& message) {
    for (const std::string_view field : {"magic", "version", "count", "key", "tensor", "the file is empty"}) {
        if (message.find(field) != std::string::npos) return true;
    }
    return false;
}

TEST(GgufMutation, TwentyThousandDamagedFiles) {
    size_t n_seen = 0, n_accepted = 0;
    uint64_t most_over_file = 0, sum = 0;
    double slowest = 0;
    std::map<ErrorCode, size_t> codes;
    testing::for_each_mutant(kMutants, [&](const testing::Mutant& mutant) {
        ++n_seen;
        const std::clock_t start = std::clock();
        const atlas::testing::AllocationCount allocations;
        {
            const auto file = File::parse(mutant.bytes, "mutant");
            const uint64_t peak = allocations.peak_bytes();
            EXPECT_LE(peak, mutant.bytes.size() + kAllowanceBytes) << mutant.what;
            most_over_file = std::max(most_over_file, peak > mutant.bytes.size() ? peak - mutant.bytes.size() : 0);
            if (file) {
                ++n_accepted;
                sum += touch_everything(*file);
            } else {
                ++codes[file.error().code];
                EXPECT_TRUE(names_a_field(file.error().message)) << mutant.what << ": " << file.error().message;
                EXPECT_LT(file.error().message.size(), 1000u) << mutant.what;
            }
        }
        // Time of this process: what others do on a busy machine is not the parser's.
        slowest = std::max(slowest, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    });
    EXPECT_EQ(n_seen, kMutants);
    EXPECT_LT(slowest, kMaxSeconds);
    // The generator must reach deep: files that are still valid, every kind of refusal, and the memory limit itself.
    EXPECT_GT(n_accepted, 500u);
    EXPECT_GT(codes[ErrorCode::corrupt], 5000u);
    EXPECT_GT(codes[ErrorCode::unsupported], 20u);
    EXPECT_GT(codes[ErrorCode::limit], 0u);
    EXPECT_GT(most_over_file, kAllowanceBytes / 2) << "no mutant came near the memory limit";
    fmt::print(
        "{} files: {} accepted, {} corrupt, {} unsupported, {} over the limit; most memory {} over the file, slowest "
        "{:.0f} ms ({})\n",
        n_seen, n_accepted, codes[ErrorCode::corrupt], codes[ErrorCode::unsupported], codes[ErrorCode::limit],
        bytes_text(most_over_file), slowest * 1000, sum % 10);
}

TEST(GgufMutation, TheCounterCounts) {
    const atlas::testing::AllocationCount allocations;
    { const std::vector<char> big(3 * kMiB); }
    const std::vector<char> small(kMiB);
    EXPECT_GE(allocations.peak_bytes(), 3 * kMiB);
    EXPECT_LT(allocations.peak_bytes(), 4 * kMiB);
    EXPECT_EQ(allocations.largest_bytes(), 3 * kMiB);
}

}  // namespace
}  // namespace atlas::gguf
