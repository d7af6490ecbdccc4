#pragma once
// Writes the tensors of a model into another file, in the same format or another one.

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "quant/format.h"
#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"
#include "runtime/gguf/writer.h"

namespace atlas::tools {

struct RewrittenTensor {
    const gguf::TensorInfo* source = nullptr;  // of a known format
    Format to = Format::f32;
    std::span<const float> importance = {};  // [matrices, columns], or empty
};

/// Reads in pieces; between two of them it reports progress and obeys a stop. It and its arguments must outlive the
/// writer's write().
class ModelRewrite {
  public:
    /// `progress` is called with the bytes of the source that were read.
    ModelRewrite(const gguf::File& from, std::function<void(uint64_t done, uint64_t total)> progress,
                 std::stop_token stop, uint32_t n_threads)
        : from_(from), progress_(std::move(progress)), stop_(std::move(stop)), n_threads_(n_threads) {}
    ModelRewrite(const ModelRewrite&) = delete;
    ModelRewrite& operator=(const ModelRewrite&) = delete;

    /// Declares the tensor in `writer`, under its name. Writer::write then also fails: cancelled, corrupt (a weight
    /// that is a NaN or an infinity), io (the source became shorter).
    void add(gguf::Writer& writer, const RewrittenTensor& tensor);

  private:
    Result<void> fill(const RewrittenTensor& tensor, std::span<std::byte> out);

    const gguf::File& from_;
    std::function<void(uint64_t, uint64_t)> progress_;
    std::stop_token stop_;
    uint32_t n_threads_;
    uint64_t done_bytes_ = 0, total_bytes_ = 0;
};

}  // namespace atlas::tools
