#include "runtime/session/measure/kl_base.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/base/check.h"
#include "runtime/base/in_quotes.h"

namespace atlas {

namespace {

static_assert(std::endian::native == std::endian::little, "words are read and written as they lie in memory");

constexpr std::string_view kMagic = "_logits_";
constexpr float kWidest = 16;  // nats between the best and the lowest value that is stored exactly
constexpr float kSteps = 65535;

// Far above every existing model, and small enough that no product of them exceeds 64 bits.
constexpr uint32_t kMostContext = 1u << 24, kMostVocabulary = 1u << 24, kMostChunks = 1u << 24;

uint32_t word_at(std::span<const std::byte> bytes, uint64_t at) {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof(word));
    return word;
}

}  // namespace

Result<KlBase> KlBase::open(const std::filesystem::path& path) {
    ATLAS_TRY(MappedFile file, MappedFile::open(path));
    const std::span<const std::byte> bytes = file.bytes();
    const std::string name = printable(path.string(), 400);
    if (bytes.size() < 20 || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
        return fail(ErrorCode::corrupt,
                    "{}: not a file of base log probabilities: expected one that --save-kl-base or llama-perplexity "
                    "--kl-divergence-base wrote",
                    name);
    }
    ATLAS_TRY_VOID(file.intact());
    const KlBaseShape shape{word_at(bytes, 8), word_at(bytes, 12), word_at(bytes, 16)};
    if (shape.n_ctx < 4 || shape.n_ctx > kMostContext || shape.n_vocab < 1 || shape.n_vocab > kMostVocabulary ||
        shape.n_chunks < 1 || shape.n_chunks > kMostChunks) {
        return fail(ErrorCode::corrupt, "{}: impossible sizes: {} chunks of {} tokens, a vocabulary of {}", name,
                    shape.n_chunks, shape.n_ctx, shape.n_vocab);
    }
    if (bytes.size() != shape.file_bytes()) {
        return fail(ErrorCode::corrupt, "{}: {} chunks of {} tokens need {} bytes, the file has {}: was it cut off?",
                    name, shape.n_chunks, shape.n_ctx, shape.file_bytes(), bytes.size());
    }
    KlBase base(std::move(file), shape, name);
    base.tokens_.resize(uint64_t{shape.n_chunks} * shape.n_ctx);
    std::memcpy(base.tokens_.data(), bytes.data() + 20, base.tokens_.size() * sizeof(uint32_t));
    ATLAS_TRY_VOID(base.file_.intact());
    for (size_t i = 0; i < base.tokens_.size(); ++i) {
        if (base.tokens_[i] < shape.n_vocab) continue;
        return fail(ErrorCode::corrupt, "{}: token {} at position {}: expected an id below {}", name, base.tokens_[i],
                    i, shape.n_vocab);
    }
    return base;
}

Result<void> KlBase::read_row(uint32_t chunk, uint32_t row, std::span<float> to) const {
    ATLAS_CHECK(chunk < shape_.n_chunks && row < shape_.rows_per_chunk() && to.size() == shape_.n_vocab,
                "row {} of chunk {}, {} values", row, chunk, to.size());
    const uint64_t at = shape_.rows_at() + 2 * shape_.row_words() * (uint64_t{chunk} * shape_.rows_per_chunk() + row);
    const std::byte* bytes = file_.bytes().data() + at;
    float head[2];
    std::memcpy(head, bytes, sizeof(head));
    const auto [scale, lowest] = head;
    ATLAS_TRY_VOID(file_.intact());
    if (!(scale >= 0 && scale <= 1) || !(lowest <= 0 && lowest >= -1e4f)) {
        return fail(ErrorCode::corrupt,
                    "{}: row {} of chunk {}: scale {} and lowest value {} are not those of log probabilities", name_,
                    row, chunk, scale, lowest);
    }
    double sum = 0;
    for (uint32_t i = 0; i < shape_.n_vocab; ++i) {
        uint16_t number = 0;
        std::memcpy(&number, bytes + sizeof(head) + 2ull * i, sizeof(number));
        to[i] = lowest + scale * static_cast<float>(number);
        sum += std::exp(double{to[i]});
    }
    ATLAS_TRY_VOID(file_.intact());
    // Each number is off by half a step at most (1.2e-4 nats), and each of those at the floor adds at most e^-16.
    const double most = 1.001 + shape_.n_vocab * std::exp(-double{kWidest});
    if (!(sum > 0.999 && sum < most)) {
        return fail(ErrorCode::corrupt, "{}: row {} of chunk {}: probabilities sum to {:.4f}, expected 1", name_, row,
                    chunk, sum);
    }
    return {};
}

Result<KlBaseWriter> KlBaseWriter::create(const std::filesystem::path& path, const KlBaseShape& shape,
                                          std::span<const uint32_t> tokens) {
    ATLAS_CHECK(tokens.size() == uint64_t{shape.n_chunks} * shape.n_ctx, "{} tokens", tokens.size());
    ATLAS_TRY(AtomicFile file, AtomicFile::create(path));
    const uint32_t head[3] = {shape.n_ctx, shape.n_vocab, shape.n_chunks};
    ATLAS_TRY_VOID(file.write(kMagic));
    ATLAS_TRY_VOID(file.write(std::as_bytes(std::span(head))));
    ATLAS_TRY_VOID(file.write(std::as_bytes(tokens)));
    return KlBaseWriter(std::move(file), shape);
}

Result<void> KlBaseWriter::add_row(std::span<const float> log_probabilities) {
    ATLAS_CHECK(log_probabilities.size() == shape_.n_vocab, "a row of {} values", log_probabilities.size());
    const auto [least, best] = std::minmax_element(log_probabilities.begin(), log_probabilities.end());
    const float lowest = std::max(*least, *best - kWidest);
    const float scale = (*best - lowest) / kSteps;
    std::memcpy(words_.data(), &scale, sizeof(scale));
    std::memcpy(words_.data() + 2, &lowest, sizeof(lowest));
    for (uint32_t i = 0; i < shape_.n_vocab; ++i) {
        const float steps = scale > 0 ? (std::max(log_probabilities[i], lowest) - lowest) / scale : 0.0f;
        words_[4 + i] = static_cast<uint16_t>(std::min(std::round(steps), kSteps));
    }
    ++n_rows_;
    return file_.write(std::as_bytes(std::span(words_)));
}

Result<void> KlBaseWriter::commit() {
    const uint64_t expected = uint64_t{shape_.n_chunks} * shape_.rows_per_chunk();
    ATLAS_CHECK_EQ(n_rows_, expected);
    return file_.commit();
}

}  // namespace atlas
