#pragma once
// The log probabilities that a model assigned to every token of a text, as a file to compare another model, or
// llama.cpp, with.
//
// Format, little-endian, as llama-perplexity writes it with --kl-divergence-base (found from its files):
//   8 bytes "_logits_"; i32 n_ctx, n_vocab, n_chunks; i32 tokens [n_chunks, n_ctx];
//   per chunk n_ctx - 1 - n_ctx / 2 rows, one for each position from n_ctx / 2 on except the last; each row:
//   f32 scale, f32 lowest, then u16 [n_vocab] (rounded up to an even number): log probability = lowest + scale *
//   number.
//   Everything less likely than e^-16 times the best is stored as that.

#include <filesystem>
#include <span>
#include <vector>

#include "runtime/base/atomic_file.h"
#include "runtime/base/mapped_file.h"

namespace atlas {

struct KlBaseShape {
    uint32_t n_ctx = 0;
    uint32_t n_vocab = 0;
    uint32_t n_chunks = 0;

    uint32_t first_row() const { return n_ctx / 2; }
    uint32_t rows_per_chunk() const { return n_ctx - 1 - first_row(); }
    uint64_t row_words() const { return 4 + (uint64_t{n_vocab} + 1) / 2 * 2; }  // of 16 bits
    uint64_t rows_at() const { return 20 + 4ull * n_chunks * n_ctx; }
    uint64_t file_bytes() const { return rows_at() + 2 * row_words() * rows_per_chunk() * n_chunks; }
};

/// Such a file in memory. Every length is checked when it is opened and every row when it is read, because the file
/// may come from anywhere.
class KlBase {
  public:
    /// Fails: not_found, io; corrupt (magic, impossible sizes, tokens outside the vocabulary, a length other than the
    /// sizes require).
    static Result<KlBase> open(const std::filesystem::path& path);

    const KlBaseShape& shape() const { return shape_; }
    /// All tokens [n_chunks * n_ctx].
    const std::vector<uint32_t>& tokens() const { return tokens_; }
    /// Writes the log probabilities [n_vocab] of one row into `to`. Fails: corrupt (values that are not finite,
    /// probabilities that do not sum to 1).
    Result<void> read_row(uint32_t chunk, uint32_t row, std::span<float> to) const;

  private:
    KlBase(MappedFile file, const KlBaseShape& shape, std::string name)
        : file_(std::move(file)), shape_(shape), name_(std::move(name)) {}
    MappedFile file_;
    KlBaseShape shape_;
    std::string name_;
    std::vector<uint32_t> tokens_;
};

/// Writes one row after another; the file appears when it is complete.
class KlBaseWriter {
  public:
    /// tokens: [n_chunks * n_ctx], below n_vocab. Fails: not_found (no such folder), io.
    static Result<KlBaseWriter> create(const std::filesystem::path& path, const KlBaseShape& shape,
                                       std::span<const uint32_t> tokens);
    /// log_probabilities: [n_vocab]. Fails: io.
    Result<void> add_row(std::span<const float> log_probabilities);
    /// Call it after the last row. Fails: io.
    Result<void> commit();

  private:
    KlBaseWriter(AtomicFile file, const KlBaseShape& shape)
        : file_(std::move(file)), shape_(shape), words_(shape.row_words()) {}
    AtomicFile file_;
    KlBaseShape shape_;
    std::vector<uint16_t> words_;
    uint64_t n_rows_ = 0;
};

}  // namespace atlas
