#pragma once
// The tensors of a model and the rules that name them. A rule is the only place where a tensor's name and shape stand:
// the loader, the planner, the benchmarks and the tests walk the same rules, and a forward pass finds its tensors by
// the rules' ids.

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/gguf/reader.h"
#include "runtime/model/config.h"
#include "runtime/ops/tensor.h"

namespace atlas {

/// Which of its layer's (or model's) tensors one is. Made of a name, GGUF's where the file has such a tensor:
/// "attn_q.weight".
struct WeightId {
    std::string_view name;
    uint64_t hash = 0;

    constexpr WeightId() = default;
    constexpr WeightId(std::string_view text)
        : name(text), hash(14695981039346656037u) {  // NOLINT: a rule begins with a name; FNV-1a
        for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    }
    constexpr WeightId(const char* text) : WeightId(std::string_view(text)) {}  // NOLINT
    friend constexpr bool operator==(const WeightId& a, const WeightId& b) { return a.hash == b.hash; }
};

enum class Need {
    required,
    usual,     // optional; most files have it, and the planner counts it when it has no file
    optional,  // most files do not have it
};

/// How the loader treats "<tensor>.scale", a factor that some writers put beside "<tensor>.weight" (quantizers to 4-bit
/// floats; test models).
enum class Scale {
    refused,  // the file cannot be used when it has one
    folded,   // multiplies every element at load; f32 tensors only
    unused,   // the reference implementation of this architecture does not apply it either
};

/// What a weight holds of its tensor.
enum class Content {
    as_stored,
    key_shift,  // of a bias of keys: what runtime/model/key_shift.h makes of it, f32
};

/// Weights of a layer that read the same activations lie side by side, in the order of the rules, so that a backend can
/// run them as one matrix.
enum class Together : uint8_t { none, qkv, qkv_bias, gate_up, gate_up_shared };

/// Outermost first. One side: a vector, which becomes one f32 row whatever the file stores. Three: one matrix per
/// expert.
struct Dims {
    std::array<uint64_t, 3> sides{};
    uint32_t n = 0;

    constexpr Dims(std::initializer_list<uint64_t> list) {  // NOLINT: rules list sides
        for (const uint64_t side : list) sides.at(n++) = side;
    }
    std::span<const uint64_t> span() const { return {sides.data(), n}; }
    bool is_vector() const { return n == 1; }
    uint64_t cols() const { return sides[n - 1]; }
    uint64_t rows() const { return n == 3 ? sides[0] * sides[1] : n == 2 ? sides[0] : 1; }
};

struct WeightRule {
    WeightId id;
    Need need = Need::required;
    Dims (*dims)(const ModelConfig& model,
                 const LayerConfig& layer) = nullptr;  // of the model's own weights `layer` is the first
    Scale scale = Scale::refused;
    Together together = Together::none;
    Content content = Content::as_stored;
    std::string_view stored_as = {};  // the tensor's name where it is not the id's
    // A tensor that a file may have instead, with the rows (of vectors: the elements) of all rules that name it, in
    // their order. It counts where the file lacks the first one's own tensor.
    std::string_view fused_as = {};
    bool usually_fused = false;  // most files have that one
    WeightId instead = {};       // another rule's tensor that a file may have in this one's place; names no part of it
    Dims (*or_dims)(const ModelConfig& model, const LayerConfig& layer) = nullptr;  // another shape that files may have
    bool decoded = false;  // becomes f32 whatever the file stores, as vectors do: kernels read nothing else

    std::string_view tensor() const { return stored_as.empty() ? id.name : stored_as; }
};
using WeightRules = std::vector<WeightRule>;

/// One list of all.
WeightRules join_rules(std::initializer_list<WeightRules> lists);
/// The same rules for a family whose files usually have the fused tensors.
WeightRules usually_fused(WeightRules rules);

/// A tensor as files have it.
struct StoredTensor {
    std::string name;  // without its layer's prefix
    Dims dims;
    const WeightRule* rule = nullptr;  // the first that it holds
};
/// The tensors of files whose optional ones are those of `rules`, in the rules' order; fused where that is usual.
std::vector<StoredTensor> stored_tensors(std::span<const WeightRule> rules, const ModelConfig& model,
                                         const LayerConfig& layer);

/// The rules of an architecture for one model.
struct WeightTable {
    WeightRules model;
    std::vector<WeightRules> layers;  // [n_layer], of what follows "blk.<layer>."
    /// Endings of names that this architecture's files may have and that change nothing.
    std::span<const std::string_view> ignorable = {};
};

/// Views of a model's weights, found by the ids of the rules. Empty where the file has none.
class Weights {
  public:
    Weights() = default;
    explicit Weights(uint32_t n_layer) : layers_(n_layer) {}

    const Tensor& operator[](WeightId id) const { return find(model_, id); }
    const Tensor& at(uint32_t layer, WeightId id) const { return find(layers_.at(layer), id); }
    void set(WeightId id, const Tensor& tensor) { put(model_, id, tensor); }
    void set(uint32_t layer, WeightId id, const Tensor& tensor) { put(layers_.at(layer), id, tensor); }
    uint32_t n_layer() const { return static_cast<uint32_t>(layers_.size()); }

    /// Every weight, the layers' first.
    void for_each(const std::function<void(WeightId id, const Tensor& tensor)>& take) const;

  private:
    struct Entry {
        WeightId id;
        Tensor tensor;
    };
    using Entries = std::vector<Entry>;  // by hash
    static const Tensor& find(const Entries& entries, WeightId id);
    static void put(Entries& entries, WeightId id, const Tensor& tensor);

    Entries model_;
    std::vector<Entries> layers_;
};

/// One tensor of the file with its place in Weights.
struct ResolvedWeight {
    const gguf::TensorInfo* source = nullptr;      // or the part of a fused tensor
    std::shared_ptr<const gguf::TensorInfo> part;  // owns it in that case
    WeightId id;
    std::optional<uint32_t> layer;  // nothing: the model's own
    Format format = Format::f32;    // on the device
    Layout layout = Layout::blocks;
    uint32_t rows = 0;  // of all experts, one after the other
    uint32_t cols = 0;
    float scale = 1.0f;  // multiplies every element at load
    Content content = Content::as_stored;
    Together together = Together::none;
    uint32_t rule = 0;  // its place among the layer's rules

    uint64_t bytes() const { return stored_bytes(format, layout, uint64_t{rows} * cols); }
};

/// Finds every tensor of the table in the file and checks type and shape. `can_read`: which formats the backend's
/// kernels read.
/// Fails: not_found (a required tensor), corrupt (wrong shape: expected and found), unsupported (a format; a tensor
/// that no rule names, because leaving it out would compute something else).
Result<std::vector<ResolvedWeight>> resolve_weights(const gguf::File& file, const WeightTable& table,
                                                    const ModelConfig& config,
                                                    const std::function<bool(Format)>& can_read);

/// The same from a list of tensors without a file, for planning: shapes and formats count, ".scale" tensors are not
/// looked at. The list must outlive the result's `source` pointers.
Result<std::vector<ResolvedWeight>> resolve_tensors(std::span<const gguf::TensorInfo> tensors, const WeightTable& table,
                                                    const ModelConfig& config,
                                                    const std::function<bool(Format)>& can_read);

/// Gives every weight its view; `make` makes the view of one. Ties the output to the embedding where the file has no
/// own.
Weights assemble_weights(const ModelConfig& config, std::span<const ResolvedWeight> resolved,
                         const std::function<Tensor(const ResolvedWeight&)>& make);

uint64_t total_bytes(std::span<const ResolvedWeight> resolved);

}  // namespace atlas
