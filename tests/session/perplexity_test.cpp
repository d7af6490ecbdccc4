// Perplexity and divergence against slow sums over all logits, and damaged base files.
#include "runtime/session/measure/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include "tests/reference/ref_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

constexpr uint32_t kVocabulary = 97;  // odd: rows of a base file are padded

struct Fixture {
    Fixture() {
        testing::write_tiny_model(dir / "tiny.gguf", testing::tiny_shape("llama biases"));
        testing::write_tiny_model(dir / "other.gguf", testing::tiny_shape("llama biases q4_0 whole"));
        text = testing::tiny_tokens(70, kVocabulary, 3);
    }
    testing::Running start(const SessionShape& shape, const char* name = "tiny.gguf") {
        return testing::start_model(dir / name, *backend, shape);
    }
    testing::Running start() { return start({.n_ctx = 64, .n_batch = 16, .max_outputs = 5, .kv_format = Format::f32}); }

    TempDir dir;
    std::unique_ptr<Backend> backend = make_ref_backend();
    std::vector<uint32_t> text;
};

std::vector<double> log_softmax(std::span<const float> row) {
    double sum = 0;
    for (const float x : row) sum += std::exp(double{x});
    std::vector<double> out;
    for (const float x : row) out.push_back(double{x} - std::log(sum));
    return out;
}

std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Perplexity, IsTheSumOverTheSecondHalves) {
    Fixture f;
    const TokenId bos = 5;
    double sum = 0, squares = 0;
    uint32_t n = 0;
    for (uint32_t chunk = 0; chunk < 3; ++chunk) {
        std::vector<uint32_t> tokens(f.text.begin() + chunk * 23, f.text.begin() + (chunk + 1) * 23);
        tokens[0] = bos;
        const auto logits = testing::all_logits(*f.start().session, tokens);
        for (uint32_t t = 11; t + 1 < 23; ++t, ++n) {
            const double loss = -log_softmax(std::span(logits).subspan(t * kVocabulary, kVocabulary))[tokens[t + 1]];
            sum += loss;
            squares += loss * loss;
        }
    }
    const double mean = sum / n;
    for (const SessionShape& shape :
         {SessionShape{.n_ctx = 64, .n_batch = 16, .max_outputs = 5, .kv_format = Format::f32},
          SessionShape{.n_ctx = 32, .n_batch = 32, .max_outputs = 32, .kv_format = Format::f32},
          SessionShape{.n_ctx = 32, .n_batch = 1, .max_outputs = 1, .kv_format = Format::f32}}) {
        const auto result = measure_perplexity(*f.start(shape).session, f.text, {.n_ctx = 23, .bos = bos});
        ASSERT_TRUE(result) << result.error().message;
        EXPECT_EQ(result->n_chunks, 3u);
        EXPECT_EQ(result->n_scored, n);
        EXPECT_NEAR(result->perplexity, std::exp(mean), 1e-4 * std::exp(mean));
        EXPECT_NEAR(result->perplexity_error, std::exp(mean) * std::sqrt((squares / n - mean * mean) / (n - 1)), 1e-3);
        EXPECT_FALSE(result->divergence);
    }
}

TEST(Perplexity, OfAModelAgainstItselfDivergesByTheFilesSteps) {
    Fixture f;
    const auto path = f.dir / "base.kld";
    const auto saved =
        measure_perplexity(*f.start().session, f.text, {.n_ctx = 20, .max_chunks = 2, .save_base = path});
    ASSERT_TRUE(saved) << saved.error().message;
    const auto base = KlBase::open(path);
    ASSERT_TRUE(base) << base.error().message;
    EXPECT_EQ(base->shape().n_chunks, 2u);
    const auto same = measure_perplexity(*f.start().session, {}, {.base = &*base});
    ASSERT_TRUE(same && same->divergence) << same.error().message;
    EXPECT_DOUBLE_EQ(same->perplexity, saved->perplexity);
    // Half a step of at most 16 / 65535 nats.
    EXPECT_NEAR(same->divergence->base_perplexity, saved->perplexity, saved->perplexity * 1.3e-4);
    EXPECT_LT(std::abs(same->divergence->max), 1.3e-4);
    EXPECT_GE(same->divergence->same_top, 0.9);  // equal within a step may be in another order
}

TEST(Perplexity, OfAnotherModelDivergesAsTheSumsSay) {
    Fixture f;
    const auto path = f.dir / "base.kld";
    ASSERT_TRUE(measure_perplexity(*f.start().session, f.text, {.n_ctx = 24, .max_chunks = 1, .save_base = path}));
    const auto base = KlBase::open(path);
    ASSERT_TRUE(base);
    const SessionShape shape{.n_ctx = 32, .n_batch = 8, .max_outputs = 8, .kv_format = Format::f32};
    const auto other = measure_perplexity(*f.start(shape, "other.gguf").session, {}, {.base = &*base});
    ASSERT_TRUE(other && other->divergence);

    const std::vector<uint32_t> tokens(f.text.begin(), f.text.begin() + 24);
    const auto p_rows = testing::all_logits(*f.start().session, tokens);
    const auto q_rows = testing::all_logits(*f.start(shape, "other.gguf").session, tokens);
    double sum = 0, largest = 0;
    for (uint32_t t = 12; t < 23; ++t) {
        const auto p = log_softmax(std::span(p_rows).subspan(t * kVocabulary, kVocabulary));
        const auto q = log_softmax(std::span(q_rows).subspan(t * kVocabulary, kVocabulary));
        double kl = 0;
        for (uint32_t i = 0; i < kVocabulary; ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
        sum += kl;
        largest = std::max(largest, kl);
    }
    EXPECT_GT(sum / 11, 0.01);
    // Rounding in the file: 1.2e-4 nats per token, times at most the ratio's size.
    EXPECT_NEAR(other->divergence->mean, sum / 11, 1e-3 * (1 + sum / 11));
    EXPECT_NEAR(other->divergence->max, largest, 1e-3 * (1 + largest));
}

TEST(Perplexity, RefusesWhatMakesNoSense) {
    Fixture f;
    const auto running = f.start();
    EXPECT_EQ(measure_perplexity(*running.session, f.text, {.n_ctx = 65}).error().code, ErrorCode::limit);
    EXPECT_EQ(measure_perplexity(*running.session, f.text, {.n_ctx = 3}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(measure_perplexity(*running.session, std::span(f.text).first(30), {.n_ctx = 31}).error().code,
              ErrorCode::invalid_argument);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(measure_perplexity(*running.session, f.text, {.n_ctx = 16, .stop = stop.get_token()}).error().code,
              ErrorCode::cancelled);
    const auto path = f.dir / "never.kld";
    EXPECT_FALSE(
        measure_perplexity(*running.session, f.text, {.n_ctx = 16, .save_base = path, .stop = stop.get_token()}));
    EXPECT_FALSE(std::filesystem::exists(path));
}

// Reads the whole file; true: everything was accepted.
bool reads(const std::filesystem::path& path) {
    const auto base = KlBase::open(path);
    if (!base) {
        EXPECT_LT(base.error().message.size(), 600u);
        return false;
    }
    std::vector<float> row(base->shape().n_vocab);
    for (uint32_t c = 0; c < base->shape().n_chunks; ++c) {
        for (uint32_t r = 0; r < base->shape().rows_per_chunk(); ++r) {
            if (!base->read_row(c, r, row)) return false;
        }
    }
    return true;
}

TEST(KlBase, DamagedFilesAreRefused) {
    Fixture f;
    const auto path = f.dir / "base.kld", bad = f.dir / "bad.kld";
    ASSERT_TRUE(measure_perplexity(*f.start().session, f.text, {.n_ctx = 16, .max_chunks = 3, .save_base = path}));
    const std::string right = bytes_of(path);
    ASSERT_TRUE(reads(path));
    const auto try_bytes = [&](const std::string& bytes) {
        std::ofstream(bad, std::ios::binary) << bytes;
        return reads(bad);
    };
    for (size_t cut = 0; cut < right.size(); cut += 1 + cut / 7) EXPECT_FALSE(try_bytes(right.substr(0, cut))) << cut;
    EXPECT_FALSE(try_bytes(right + '\0'));
    // Sizes whose products would overflow.
    for (const uint32_t huge : {0u, 3u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu, 1u << 25}) {
        for (const size_t at : {8u, 12u, 16u}) {
            std::string bytes = right;
            std::memcpy(bytes.data() + at, &huge, 4);
            EXPECT_FALSE(bytes != right && try_bytes(bytes)) << huge << " at " << at;
        }
    }
    std::string token = right;
    token[20 + 1] = 1;  // an id above the vocabulary
    EXPECT_FALSE(try_bytes(token));
    const size_t first_row = 20 + 4 * 3 * 16;
    for (const float number : {NAN, INFINITY, -1.0f, 2.0f}) {
        std::string bytes = right;
        std::memcpy(bytes.data() + first_row, &number, 4);
        EXPECT_FALSE(try_bytes(bytes)) << "scale " << number;
    }
    for (const float number : {NAN, -INFINITY, 1.0f, -20000.0f, -2.0f}) {
        std::string bytes = right;
        std::memcpy(bytes.data() + first_row + 4, &number, 4);
        EXPECT_FALSE(try_bytes(bytes)) << "lowest " << number;
    }
}

// Random bytes changed: accepted or refused, never a crash; what is accepted holds finite numbers.
TEST(KlBase, RandomDamageNeverCrashes) {
    Fixture f;
    const auto path = f.dir / "base.kld", bad = f.dir / "bad.kld";
    ASSERT_TRUE(measure_perplexity(*f.start().session, f.text, {.n_ctx = 16, .max_chunks = 2, .save_base = path}));
    const std::string right = bytes_of(path);
    std::mt19937_64 random(1);
    uint32_t refused = 0;
    for (int round = 0; round < 400; ++round) {
        std::string bytes = right;
        for (uint64_t n = 1 + random() % 4; n > 0; --n) {
            // Mostly in the head, tokens and row heads, where a change matters.
            const size_t at = random() % (random() % 2 ? 24 : random() % 2 ? 300 : bytes.size());
            bytes[at] = static_cast<char>(random());
        }
        if (random() % 5 == 0) bytes.resize(random() % bytes.size());
        std::ofstream(bad, std::ios::binary) << bytes;
        refused += reads(bad) ? 0 : 1;
    }
    EXPECT_GT(refused, 200u);
}

}  // namespace
}  // namespace atlas
