#pragma once
// The operations of a forward pass. The contract of every operation is stated here and nowhere else.
// Implementations: VkOps (records Vulkan work), RefOps (tests/reference: the slow obvious oracle), DryOps (counts).
// Conventions: activations are f32 [n_tokens, width]; no operand may overlap an output unless stated; recording cannot
// fail.

#include <span>
#include <string_view>

#include "runtime/ops/experts.h"
#include "runtime/ops/kv_layout.h"
#include "runtime/ops/recurrent.h"
#include "runtime/ops/tensor.h"

namespace atlas {

/// How head vectors are rotated. theta_i = position * freq_scale * rope_theta^(-2i/n_rot) / factor_i, i < n_rot/2, then
/// YaRN's ramp.
struct RopeParams {
    enum class Pairing {
        adjacent,  // (x[2i], x[2i+1]): llama
        halves,    // (x[i], x[i + n_rot/2]): qwen2, gemma
    };
    Pairing pairing = Pairing::adjacent;
    uint32_t head_dim = 0;
    uint32_t n_rot = 0;  // <= head_dim, even; the rest of the head passes through
    float rope_theta = 10000.0f;
    float freq_scale = 1.0f;   // 1 / linear scaling factor
    float attn_factor = 1.0f;  // multiplies sin and cos (before YaRN's own magnitude correction)
    // YaRN (arXiv:2309.00071); ext_factor 0 disables it.
    float ext_factor = 0.0f;
    float beta_fast = 32.0f;
    float beta_slow = 1.0f;
    uint32_t n_ctx_orig = 0;
};

/// The largest head size that rotate_heads takes.
inline constexpr uint32_t kLargestRotatedHead = 256;

/// The fitted rotation of a layer's keys or values (model/cache_rotation.h). Either empty, or all but the shift, or,
/// for keys, the shift alone (model/key_shift.h); d: size of a head.
struct CacheRotation {
    Tensor in;     // f32 [n_head_kv * d, d]: rotate_heads of what is cached
    Tensor shift;  // f32 [1, n_head_kv * d], of keys
    Tensor out;    // f32 [n_head_kv * d, d]: rotate_heads of queries, or of attention's result
    // Error feedback: the rounding error of each element is passed on to later ones, where a format rounds blocks of 32
    // and they divide heads. Element i of head g becomes the level nearest to x_i + sum_{j < i} feedback[g * d + i, j]
    // * (x_j - rounded x_j). Zero for j >= i.
    Tensor feedback;  // f32 [n_head_kv * d, d]

    explicit operator bool() const { return bool(in); }
    bool passes_on_errors(Format format) const {
        return feedback && info(format).block_elems == 32 && feedback.cols % 32 == 0;
    }
};

/// The K and V of one layer for all pages: k [n_pages * page_tokens, n_head_kv * head_dim], v [.., n_head_kv *
/// v_head_dim]. Formats apart: those of kKvFormats (block formats need heads of whole blocks). Both begin at multiples
/// of kKvAlignmentBytes in storage of at least rows * kv_row_bytes; the backend decides how rows lie in it (VkOps:
/// shaders/common/cache_layout.glsl; RefOps: as in files).
struct KvLayer {
    Tensor k;
    Tensor v;
    uint32_t page_tokens = 0;
    bool rotate_k = false;        // the cache holds hadamard(k), plus fitted_k.shift if any; queries arrive rotated too
    bool rotate_v = false;        // the cache holds hadamard(v); attention's result must be rotated back
    CacheRotation fitted_k = {};  // with rotate_k, replaces the Hadamard matrix; out: queries, before attention
    CacheRotation fitted_v = {};  // the same for values; out: attention's result

    bool k_passes_on_errors() const { return rotate_k && fitted_k.passes_on_errors(k.format); }
    bool v_passes_on_errors() const { return rotate_v && fitted_v.passes_on_errors(v.format); }
};

/// The position, sequence and page table of each token of the step. Token t sees the keys at positions 0 ..
/// positions[t] of its sequence seqs[t]; the key at position p lies in cache row page_table[seqs[t] * max_pages + p /
/// page_tokens] * page_tokens + p % page_tokens.
struct AttentionTables {
    U32View positions;   // [n_tokens]
    U32View seqs;        // [n_tokens]
    U32View page_table;  // [n_seqs, max_pages]
    uint32_t max_pages = 0;
    uint32_t max_kv_tokens = 0;  // no position of this recording is larger or equal; bounds the cost, not the result
    // [1] or empty (then 0). Positions below this number lie in the same cache rows for all tokens of the step (one
    // sequence: all positions; forks: the shared prefix), so that a kernel may read them once for many tokens. The
    // result does not depend on it.
    U32View shared_positions = {};
};

/// Heads of keys, queries and values are multiples of kAttentionHeadMultiple up to kLargestAttentionHead: that of
/// latent attention, whose values are the first elements of its keys.
inline constexpr uint32_t kAttentionHeadMultiple = 8, kLargestAttentionHead = 576;

struct AttentionParams {
    uint32_t n_head = 0;
    uint32_t n_head_kv = 0;   // divides n_head; query head h reads KV head h / (n_head / n_head_kv)
    uint32_t head_dim = 0;    // of q and k
    float scale = 0.0f;       // usually 1/sqrt(head_dim)
    uint32_t v_head_dim = 0;  // of v and y; 0: head_dim
    uint32_t window = 0;      // token at position p sees keys above p - window only; 0: all
    float softcap = 0.0f;     // c: scores become c * tanh(score / c); 0: off
    Tensor sinks = {};        // f32 [1, n_head] or empty: exp(sinks[h]) joins the softmax's denominator

    uint32_t value_dim() const { return v_head_dim == 0 ? head_dim : v_head_dim; }
};

/// Where the choice of a token reads and writes; words as in shaders/sample/arithmetic.h.
struct SampleTables {
    U32View params;       // [n_rows * kParamWords] sampling parameters
    U32View history;      // [kHistoryHead + places] a ring of tokens that penalties look at, or empty; then n_rows is 1
    U32View next_tokens;  // [n_rows] or empty: the chosen ids once more, as a next step reads them
    U32View results;      // [n_rows * kResultWords]
};

/// What a block applies to its gate, or to its only product.
enum class Activation {
    silu,          // g / (1 + exp(-g))
    gelu_tanh,     // g / (1 + exp(-2 u)), u = sqrt(2 / pi) (g + 0.044715 g^3)
    relu_squared,  // max(g, 0)^2
    sigmoid,       // 1 / (1 + exp(-g))
    softplus,      // ln(1 + exp(g))
    // gpt-oss: min(g, 7) / (1 + exp(-1.702 min(g, 7))); the factor beside it, u, becomes clamp(u, -7, 7) + 1.
    silu_clamped,
    none,  // g
};

/// One matrix product of several: w [n_out, n_in] any format; b as in matmul_add or empty; y [n_tokens, n_out].
struct MatmulTerm {
    Tensor w;
    Tensor b;
    Tensor y;
};

class Ops {
  public:
    virtual ~Ops() = default;

    /// An f32 [rows, cols] of undefined content, valid until the mark before it is released.
    virtual Tensor scratch(uint32_t rows, uint32_t cols, std::string_view name) = 0;
    /// Scratch is a stack: release(mark) releases all that was taken since mark(). Prefer ScratchScope.
    virtual uint64_t mark() = 0;
    virtual void release(uint64_t mark) = 0;
    /// Names what follows for the profiler and for debug markers, until the next label.
    virtual void label(std::string_view name) = 0;

    /// out[i, :] = table[ids[i], :].  table: [n_rows, cols] any format; out: f32 [ids.count, cols]. Ids past the table
    /// are a bug upstream and read row 0, never memory outside.
    virtual void get_rows(const Tensor& table, const U32View& ids, const Tensor& out) = 0;

    /// y[t, o] = sum_i w[o, i] * x[t, i].  w: [n_out, n_in] any format; x: f32 [n_tokens, n_in]; y: f32 [n_tokens,
    /// n_out].
    virtual void matmul(const Tensor& w, const Tensor& x, const Tensor& y) = 0;

    /// y[t, i] = x[t, i] * gain[i] / sqrt(mean_i(x[t, i]^2) + eps).  y may be x.  gain: f32 [1, cols]; empty: all 1.
    virtual void rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& y) = 0;

    /// y = a + b.  b: the shape of a, or one row that is added to every row (a bias).  y may be a or b.
    virtual void add(const Tensor& a, const Tensor& b, const Tensor& y) = 0;

    /// y = activation(gate) * up.  up, y: [n_tokens, n_ff]; gate: the same; or narrower: then column i of the gate is
    /// for the n_ff / gate.cols columns from i * n_ff / gate.cols on; or one row for all tokens.  y may be up, or a
    /// gate of its shape.
    virtual void gated_mul(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y) = 0;

    /// y = activation(x).  y may be x.  Not silu_clamped.
    virtual void activate(Activation activation, const Tensor& x, const Tensor& y) = 0;

    /// y[t, i] = (x[t, i] - m) * gain[i] / sqrt(mean_i((x[t, i] - m)^2) + eps) + bias[i], m = mean_i(x[t, i]).  y may
    /// be x.  gain: f32 [1, cols]; bias: the same, or empty.  With a gain [n, cols / n] and without a bias every run of
    /// cols / n columns is normed for itself, the i-th with row i of the gain.
    virtual void layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps, const Tensor& y) = 0;

    /// y = f x, or cap * tanh(f x / cap) where cap > 0.  y may be x.
    virtual void scale(const Tensor& x, float f, float cap, const Tensor& y) = 0;

    /// x[t, :] *= 1 + beta * ln(1 + floor(positions[t] / n_ctx)): the temperature of queries beyond the context that a
    /// model was first trained for.  n_ctx > 0.
    virtual void scale_by_position(const Tensor& x, const U32View& positions, float beta, uint32_t n_ctx) = 0;

    /// Chooses the experts of each token.  logits: f32 [n_tokens, n_experts]; bias: f32 [1, n_experts], added to the
    /// probabilities for the choice alone, or empty; routes: f32 [n_tokens, 2 * n_used], see RoutingParams.
    virtual void route(const Tensor& logits, const Tensor& bias, const RoutingParams& params, const Tensor& routes) = 0;

    /// y[t * n_used + j, :] = activation(gate_e x[t]) * (up_e x[t]), e = the j-th expert of token t; without a gate
    /// activation(up_e x[t]).  x: f32 [n_tokens, n_in]; y: f32 [n_tokens * n_used, n_ff].
    virtual void experts_up(Activation activation, const ExpertMatrices& gate, const ExpertMatrices& up,
                            const Tensor& x, const Tensor& routes, const Tensor& y) = 0;

    /// y[t, :] = sum_j weight_j * down_e x[t * n_used + j].  x: f32 [n_tokens * n_used, n_ff]; y: f32 [n_tokens,
    /// n_out].
    virtual void experts_down(const ExpertMatrices& down, const Tensor& x, const Tensor& routes, const Tensor& y) = 0;

    /// A causal convolution of every column for itself: y[t, c] = f(sum_j w[c, j] * u[j] + b[c]), u being the last
    /// `width` inputs of the token's sequence, that of token t last; f: silu, or nothing.  x, y: f32 [n_tokens, n]; w:
    /// f32 [n, width]; b: f32 [1, n] or empty; states: f32 [slots, (width - 1) * n], the inputs before, oldest first;
    /// empty where width is 1.
    virtual void causal_conv(const Tensor& x, const Tensor& w, const Tensor& b, bool silu, const StateTables& tables,
                             const Tensor& states, const Tensor& y) = 0;

    /// The gated delta rule (arXiv:2412.06464), see DeltaNetParams.  q, k: f32 [n_tokens, n_k_heads * d]; v, y: f32
    /// [n_tokens, n_v_heads * d]; alpha, beta: f32 [n_tokens, n_v_heads]; a, dt_bias: f32 [1, n_v_heads]; states: f32
    /// [slots, n_v_heads * d * d].
    virtual void delta_net(const DeltaNetInputs& inputs, const DeltaNetParams& params, const StateTables& tables,
                           const Tensor& states, const Tensor& y) = 0;

    /// The recurrence of Mamba-2 (arXiv:2405.21060), see StateSpaceParams.  b, c: f32 [n_tokens, n_groups * n_state];
    /// x, y: f32 [n_tokens, n_heads * head_dim]; dt: f32 [n_tokens, n_heads]; a, dt_bias, d: f32 [1, n_heads]; states:
    /// f32 [slots, n_heads * n_state * head_dim].
    virtual void state_space(const StateSpaceInputs& inputs, const StateSpaceParams& params, const StateTables& tables,
                             const Tensor& states, const Tensor& y) = 0;

    /// Rotates every head of x in place.  x: [n_tokens, n_head * head_dim]; positions: [n_tokens]; factors: f32 [1,
    /// n_rot/2] or empty (then all are 1).
    virtual void rope(const Tensor& x, const RopeParams& params, const U32View& positions, const Tensor& factors) = 0;

    /// Hadamard rotation of x in place: every run of `block` columns c becomes H c / sqrt(block), H being Sylvester's
    /// Hadamard matrix. Orthogonal and its own inverse. block: a power of two, 1 .. 256, that divides x's columns.
    virtual void hadamard(const Tensor& x, uint32_t block) = 0;

    /// Multiplies every head of x, a row, in place: x_h = x_h W_g + shift_g. x: [n_tokens, n_head * d]; w: f32 [n_group
    /// * d, d], dense, the d x d matrices of the groups one after the other; shift: f32 [1, n_group * d] or empty.
    /// n_group divides n_head; head h is of group h / (n_head / n_group). d: at most kLargestRotatedHead.
    virtual void rotate_heads(const Tensor& x, const Tensor& w, const Tensor& shift) = 0;

    /// cache.k[slots[t], :] = k[t, :] and the same for v, rounded to the cache's format, with the feedback of
    /// what passes on errors.  k: f32 [n_tokens, n_head_kv * head_dim], v with v_head_dim, or empty: only k is written.
    virtual void kv_write(const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots) = 0;

    /// Page to_pages[i] of `to` becomes page from_pages[i] of `from`, byte for byte. Both are the K or the V of a
    /// KvLayer, of one format and width, with pages of page_tokens rows; they may be the same cache if no page is read
    /// and written. No page is written twice. A pair with a number past its cache is skipped.
    virtual void kv_copy(const Tensor& from, const U32View& from_pages, const Tensor& to, const U32View& to_pages,
                         uint32_t page_tokens) = 0;

    /// y[t, h] = sum_p softmax_p(scale * q[t, h] . K[p, h'] ) V[p, h'] over the keys that token t sees, with params'
    /// softcap, window and sinks. The cache's v may be a view of its k. q: f32 [n_tokens, n_head * head_dim]; y: f32
    /// [n_tokens, n_head * value_dim()].
    virtual void attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables,
                           const AttentionParams& params, const Tensor& y) = 0;

    /// Chooses a token per row; shaders/sample/arithmetic.h defines which, to the bit. With penalties the logits of
    /// seen tokens are changed, and the chosen token joins the history. A row with a damaged logit, or without a finite
    /// one, chooses nothing and reports it in its status. logits: f32 [n_rows, n_vocab], n_vocab <= 2^20.
    virtual void sample(const Tensor& logits, const SampleTables& tables) = 0;

    // Fused operations: the default body is the definition and the test oracle; VkOps overrides it where a kernel
    // exists.

    /// y = x w^T + b.  b: [1, n_out] or [n_tokens, n_out] (a residual; then y may be b). Empty b: only matmul.
    virtual void matmul_add(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y);

    /// Every term's y = x w^T + b: matrices that share their activations, as q, k and v. No y may be another's b.
    virtual void matmul_group(std::span<const MatmulTerm> terms, const Tensor& x);

    /// y = activation(x gate.w^T + gate.b) * (x up.w^T + up.b).  gate.y and up.y are not looked at; y: [n_tokens,
    /// n_ff].
    virtual void matmul_gated(Activation activation, const MatmulTerm& gate, const MatmulTerm& up, const Tensor& x,
                              const Tensor& y);

    /// rope(q), rope(k), hadamard or rotate_heads of what the cache holds rotated, kv_write(k, v): all steps between
    /// the projections and attention. k and v are undefined afterwards.
    virtual void rope_kv_write(const Tensor& q, const Tensor& k, const Tensor& v, const RopeParams& params,
                               const U32View& positions, const Tensor& factors, const KvLayer& cache,
                               const U32View& slots);

    /// rms_norm of every head.  x, y: f32 [n_tokens, n_head * head_dim]; gain: f32 [1, head_dim], the same for all
    /// heads, or empty: all 1.  y may be x.
    virtual void rms_norm_heads(const Tensor& x, const Tensor& gain, float eps, uint32_t head_dim, const Tensor& y);

    /// sum = a + b; y = rms_norm(sum).  sum may be a or b.
    virtual void add_rms_norm(const Tensor& a, const Tensor& b, const Tensor& gain, float eps, const Tensor& sum,
                              const Tensor& y);
};

/// Releases at the end of the block all scratch taken in it.
class ScratchScope {
  public:
    explicit ScratchScope(Ops& ops) : ops_(ops), mark_(ops.mark()) {}
    ~ScratchScope() { ops_.release(mark_); }
    ScratchScope(const ScratchScope&) = delete;
    ScratchScope& operator=(const ScratchScope&) = delete;

  private:
    Ops& ops_;
    uint64_t mark_;
};

}  // namespace atlas
