// Snapshots that are damaged at random and sealed again, as in tests/fuzz/snapshot_fuzz.cpp, which needs clang and
// finds more.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "tests/session/snapshot_trial.h"

namespace atlas {
namespace {

using Bytes = std::vector<std::byte>;
constexpr int kTries = 10000;
constexpr size_t kTokensAt = 124;  // Header::n_tokens

class Damage {
  public:
    Damage(std::vector<Bytes> right, size_t page_bytes) : right_(std::move(right)), page_bytes_(page_bytes) {}

    Bytes next(uint32_t seed) {
        random_.seed(seed);
        Bytes bytes = right_[below(right_.size())];
        for (size_t n = 1 + below(3); n > 0; --n) damage(bytes);
        testing::seal_snapshot(bytes);
        return bytes;
    }

  private:
    size_t below(size_t n) { return random_() % n; }

    void damage(Bytes& bytes) {
        const size_t body_at = testing::kSnapshotHeaderBytes;
        switch (below(8)) {
            case 0:  // a byte of the header
                if (bytes.size() >= body_at) bytes[below(body_at)] ^= std::byte(1 << below(8));
                return;
            case 1: {  // a number of the header
                static constexpr std::array<uint32_t, 9> kBiting{0,          1,          32,         33,        129,
                                                                 0x7fffffff, 0x80000000, 0xffffffe0, 0xffffffff};
                const uint32_t number = kBiting[below(kBiting.size())];
                if (bytes.size() >= body_at) std::memcpy(&bytes[below(body_at / 4) * 4], &number, 4);
                return;
            }
            case 2:
                bytes.resize(below(bytes.size() + 2 * page_bytes_));
                return;
            case 3:
                return set_length(bytes, static_cast<uint32_t>(below(200)));
            case 4: {  // the end of another
                const Bytes& other = right_[below(right_.size())];
                const size_t at = below(std::min(bytes.size(), other.size()) + 1);
                bytes.resize(at);
                bytes.insert(bytes.end(), other.begin() + static_cast<ptrdiff_t>(at), other.end());
                return;
            }
            default:  // keys, values and now and then a token: infinities and NaNs
                for (size_t n = below(200); n > 0 && bytes.size() > body_at; --n)
                    bytes[body_at + below(bytes.size() - body_at)] = std::byte(below(256));
        }
    }

    // This number of tokens, and as many bytes as they need.
    void set_length(Bytes& bytes, uint32_t n_tokens) {
        bytes.resize(testing::kSnapshotHeaderBytes);
        std::memcpy(&bytes[kTokensAt], &n_tokens, 4);
        for (uint32_t i = 0; i < n_tokens; ++i) {
            const auto token = static_cast<uint32_t>(below(13));
            const auto* first = reinterpret_cast<const std::byte*>(&token);
            bytes.insert(bytes.end(), first, first + 4);
        }
        for (size_t n = pages_for(n_tokens) * page_bytes_; n > 0; --n) bytes.push_back(std::byte(below(256)));
        bytes.resize(bytes.size() + testing::kSnapshotChecksumBytes);
    }

    std::vector<Bytes> right_;
    size_t page_bytes_;
    std::mt19937 random_;
};

TEST(SnapshotDamage, EndsInAnErrorOrInATimelineThatLeavesNothingBehind) {
    testing::SnapshotTrial trial;
    Damage damage(trial.right_snapshots(), trial.page_bytes());
    int n_accepted = 0;
    std::map<ErrorCode, int> refused;
    for (uint32_t seed = 0; seed < kTries; ++seed) {
        SCOPED_TRACE(seed);
        const auto code = trial.attempt(damage.next(seed));
        if (code)
            ++refused[*code];
        else
            ++n_accepted;
    }
    // Every outcome is reached.
    EXPECT_GT(n_accepted, kTries / 20);
    EXPECT_GT(refused[ErrorCode::corrupt], kTries / 20);
    EXPECT_GT(refused[ErrorCode::invalid_argument], kTries / 100);
    EXPECT_GT(refused[ErrorCode::out_of_memory], kTries / 100);
    EXPECT_EQ(n_accepted + refused[ErrorCode::corrupt] + refused[ErrorCode::unsupported] +
                  refused[ErrorCode::invalid_argument] + refused[ErrorCode::out_of_memory],
              kTries);
}

}  // namespace
}  // namespace atlas
