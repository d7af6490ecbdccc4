#pragma once
// One way to run a matrix product, as plain data: which kernel, with which constants, over which tile. Every
// select_*.cpp offers the variants of its kernels that a device can run for a shape; select.cpp ranks them; tuning and
// the self-test at load identify them by name.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "quant/format.h"
#include "runtime/vk/caps.h"
#include "shaders/kernel_table.h"

namespace atlas {

/// y[t, o] = sum_i w[o, i] x[t, i]: w [n_out, n_in] in a format, x [n_tokens, n_in].
struct MatmulShape {
    Format weight = Format::f32;
    uint32_t n_out = 0;
    uint32_t n_in = 0;
    uint32_t n_tokens = 0;
    Layout layout = Layout::blocks;
    bool wide_x = true;  // rows of x start at multiples of 4 elements of what is bound, and n_in is one
};

/// The form in which a kernel reads its activations.
enum class XKind {
    f32,  // as they are
    f16,  // halves with a scale per token, made by a kernel before it (see push/half_x.h)
    q8,   // blocks of 32 signed bytes with a scale, made by a kernel before it (see push/quantize_x.h)
};

struct MatmulVariant {
    KernelFamily family = KernelFamily::matvec;
    std::vector<uint32_t> constants;  // specialization, ids 0..
    uint32_t tile_out = 1;            // what a workgroup computes: groups x = ceil(n_out / tile_out)
    uint32_t tile_tokens = 1;         // groups y = ceil(n_tokens / tile_tokens)
    uint32_t subgroup_size = 0;       // that the pipeline must have; 0: the driver's choice
    uint32_t split_k = 1;             // groups z; more than 1: partial sums, added up by a second kernel
    XKind x = XKind::f32;
    uint32_t shared_bytes = 0;  // of a workgroup; tests hold it against the device's limit

    /// Unique among the candidates of a shape: "matmul_coopmat(256, 64, 64)", the family and its constants, then "/k4"
    /// for a split.
    std::string name() const;
};

/// A product and the variant chosen for it.
struct MatmulUse {
    MatmulVariant variant;
    MatmulShape shape;
};

struct AttentionVariant;  // attention_variant.h
struct AttentionUse;      // self_test_attention.h

/// What the self-test at load and `atlas-vk tune` found on this device and driver.
struct KernelChoices {
    /// tuning_key(shape) -> name of the variant that was fastest.
    std::map<std::string, std::string, std::less<>> preferred;
    /// rejection_key(variant, format): computed wrong numbers here.
    std::set<std::string, std::less<>> rejected;
    /// Tests and benchmarks: how the name of a variant begins ("matvec_dot", "matmul(256, 64,") that is taken wherever
    /// it is offered, before all else. Empty: none.
    std::string forced;
    /// The self-test and tuning: runs every product, whatever its shape, before all else.
    std::optional<MatmulVariant> only;
    const AttentionVariant* only_attention = nullptr;  // the same for attention; null: none
    /// Where choose_matmul and choose_attention record their choices, or null.
    std::vector<MatmulUse>* log = nullptr;
    std::vector<AttentionUse>* attention_log = nullptr;
};

/// Shapes that share a measurement: format and layout, n_out, n_in, and the bucket of n_tokens (1, 2, 3-4, 5-8, 9-16,
/// 17-32, 33-64, ... ).
std::string tuning_key(const MatmulShape& shape);
std::string rejection_key(const MatmulVariant& variant, Format weight, Layout layout = Layout::blocks);

/// All variants that this device can run for the shape, the one expected to be fastest first; never empty; the last is
/// a baseline that runs on every device.
std::vector<MatmulVariant> matmul_candidates(const vk::DeviceCaps& caps, const MatmulShape& shape);

/// The preferred candidate if there is one, else the first that was not rejected, else the baseline.
MatmulVariant choose_matmul(const vk::DeviceCaps& caps, const KernelChoices& choices, const MatmulShape& shape);

/// The variant of matvec_gated that does a gate and an `up` of this shape each (matmul_gated), if the products alone
/// would be matvec_subgroup's: it adds up as that does.
std::optional<MatmulVariant> choose_gated(const vk::DeviceCaps& caps, const KernelChoices& choices,
                                          const MatmulShape& shape);

/// What a product of experts does with what its matrices give.
struct ExpertsForm {
    bool gated = false;       // two matrices: activation(gate) * up
    uint32_t activation = 0;  // shaders/common/activation.glsl
    bool sorted = false;      // columns come from the table of sort_routes
};
/// Of a variant of choose_experts; nothing of others.
std::optional<ExpertsForm> experts_form(const MatmulVariant& variant);
/// The same variant with silu between gate and up, or without an activation: what the self-test compares.
MatmulVariant with_tested_activation(MatmulVariant variant);
/// Steps of up to this many tokens find the tokens of an expert by themselves; for larger ones they are sorted before.
inline constexpr uint32_t kMostUnsortedTokens = 24;

/// As matmul_candidates and choose_matmul, of one expert's matrices: n_out rows of each. n_tokens: of the step.
std::vector<MatmulVariant> experts_candidates(const vk::DeviceCaps& caps, const MatmulShape& shape,
                                              const ExpertsForm& form);  // select_experts.cpp
MatmulVariant choose_experts(const vk::DeviceCaps& caps, const KernelChoices& choices, const MatmulShape& shape,
                             const ExpertsForm& form);

// One function per select_*.cpp: appends what its kernels offer for the shape, best first, or nothing.
void offer_matvec(const vk::DeviceCaps& caps, const MatmulShape& shape,
                  std::vector<MatmulVariant>& out);  // select_matvec.cpp
void offer_matvec_rows(const vk::DeviceCaps& caps, const MatmulShape& shape,
                       std::vector<MatmulVariant>& out);  // select_matvec_rows.cpp
void offer_matmul_tiles(const vk::DeviceCaps& caps, const MatmulShape& shape,
                        std::vector<MatmulVariant>& out);  // select_tiles.cpp
void offer_matvec_dot(const vk::DeviceCaps& caps, const MatmulShape& shape,
                      std::vector<MatmulVariant>& out);  // select_dot.cpp
void offer_matmul_dot(const vk::DeviceCaps& caps, const MatmulShape& shape,
                      std::vector<MatmulVariant>& out);  // select_dot.cpp
void offer_matmul_coopmat_s8(const vk::DeviceCaps& caps, const MatmulShape& shape,
                             std::vector<MatmulVariant>& out);  // select_dot.cpp
void offer_matmul_coopmat2(const vk::DeviceCaps& caps, const MatmulShape& shape,
                           std::vector<MatmulVariant>& out);  // select_coopmat.cpp
void offer_matmul_coopmat(const vk::DeviceCaps& caps, const MatmulShape& shape,
                          std::vector<MatmulVariant>& out);  // select_coopmat.cpp
void offer_matmul_coopmat_half_sums(const vk::DeviceCaps& caps, const MatmulShape& shape,
                                    std::vector<MatmulVariant>& out);  // select_coopmat.cpp

/// Into how many splits of its columns a matrix product is cut so that its workgroups fill the device; 1 if they do
/// anyway. Never more than most_matmul_splits, nor than the partial sums may take (kMaxPartialSumBytes).
uint32_t splits_for(const vk::DeviceCaps& caps, const MatmulShape& shape, uint32_t tile_out, uint32_t tile_tokens);
/// Columns of each split: what every tile kernel's step divides. The last split may have fewer, or none.
inline uint32_t split_columns(uint32_t n_in, uint32_t splits) { return (n_in + 64 * splits - 1) / (64 * splits) * 64; }

/// How a matrix of this format should lie in this device's memory, where its rows can be planar; see select_layout.cpp.
Layout choose_layout(const vk::DeviceCaps& caps, Format weight);

/// Whether the Vulkan device is a CPU: shared memory is ordinary memory and a barrier switches stacks.
inline bool runs_on_cpu(const vk::DeviceCaps& caps) { return caps.type == vk::DeviceType::software; }
/// Largest power of two of lanes that a workgroup may have, at most `lanes`.
uint32_t lanes_at_most(const vk::DeviceCaps& caps, uint32_t lanes);

}  // namespace atlas
