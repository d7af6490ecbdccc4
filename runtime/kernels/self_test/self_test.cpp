#include "runtime/kernels/self_test/self_test.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/codec.h"
#include "quant/planar.h"
#include "runtime/kernels/self_test/self_test_random.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {

namespace {

// Rows repeat this many different pieces. A prime, so that rows a power of two apart differ, which is where tiles go
// wrong.
constexpr uint32_t kPieces = 37;
constexpr uint32_t kMostTokens = 8;  // that the CPU computes

/// The matrix of a test, encoded, and its decoded pieces.
struct TestWeights {
    uint32_t piece_elems = 0;
    std::vector<std::byte> bytes;  // [n_out, n_in]
    std::vector<float> pieces;     // [kPieces, piece_elems]

    TestWeights(const MatmulShape& shape, uint64_t n_rows, SelfTestRandom& random) {
        const Format format = shape.weight;
        piece_elems = std::max(1u, info(format).block_elems);
        if (piece_elems < 32 && shape.n_in % 32 == 0) piece_elems = 32;
        std::vector<float> values(kPieces * piece_elems);
        for (float& value : values) value = random.next();
        std::vector<std::byte> encoded(bytes_of(format, values.size()));
        quantize_row(format, values, encoded);
        pieces.resize(values.size());
        dequantize_row(format, encoded, pieces);
        const uint64_t piece_bytes = bytes_of(format, piece_elems), per_row = shape.n_in / piece_elems;
        bytes.reserve(n_rows * per_row * piece_bytes);
        for (uint64_t i = 0; i < n_rows * per_row; ++i) {
            const auto from = encoded.begin() + std::ptrdiff_t(i % kPieces * piece_bytes);
            bytes.insert(bytes.end(), from, from + std::ptrdiff_t(piece_bytes));
        }
    }
    const float* piece(uint64_t row, uint64_t i, uint64_t per_row) const {
        return pieces.data() + (row * per_row + i) % kPieces * piece_elems;
    }
};

/// |found - expected| as a share of what rounding explains. Sums in f32: n 2^-24 of sum |w x|; f16 inputs, which matrix
/// units take: 2^-11 of it for w and for x; 8-bit activations: half a step of the block's largest value each.
double share_of_error(double found, double expected, double magnitude, double weights, double x_step, uint32_t n_in) {
    const double limit = magnitude * (n_in * 0x1p-24 + 2 * 0x1p-11) + weights * x_step / 2 * 1.01 + 1e-30;
    const double error = std::abs(found - expected);
    return error <= limit * 1e9 ? error / limit : std::numeric_limits<double>::infinity();
}

/// A sum in double precision, and the sums of |w x| and |w| with it.
struct ExactSum {
    double sum = 0, magnitude = 0, weights = 0;

    ExactSum(const MatmulShape& shape, const TestWeights& w, uint64_t row, std::span<const float> x) {
        const uint64_t per_row = shape.n_in / w.piece_elems;
        for (uint64_t p = 0; p < per_row; ++p) {
            const float* piece = w.piece(row, p, per_row);
            for (uint32_t i = 0; i < w.piece_elems; ++i) {
                const double product = double(piece[i]) * x[p * w.piece_elems + i];
                sum += product;
                magnitude += std::abs(product);
                weights += std::abs(double(piece[i]));
            }
        }
    }
};

/// Of silu(gate) * up. silu climbs by at most 1.1; exp and the division add a few roundings.
double share_of_gated_error(double found, const ExactSum& gate, const ExactSum& up, uint32_t n_in) {
    const double silu = gate.sum / (1 + std::exp(-gate.sum)), rounding = n_in * 0x1p-24;
    const double limit = rounding * (1.1 * gate.magnitude * std::abs(up.sum) + std::abs(silu) * up.magnitude +
                                     1.1 * rounding * gate.magnitude * up.magnitude) +
                         (16 + std::abs(gate.sum)) * 0x1p-23 * std::abs(silu * up.sum) + 1e-30;
    const double error = std::abs(found - silu * up.sum);
    return error <= limit * 1e9 ? error / limit : std::numeric_limits<double>::infinity();
}

double compare(const MatmulShape& shape, const TestWeights& w, std::span<const float> x, std::span<const float> y,
               XKind kind, bool gated) {
    double worst = 0;
    const uint32_t n_compared = std::min(shape.n_tokens, kMostTokens);
    for (uint32_t k = 0; k < n_compared; ++k) {
        const uint32_t t = n_compared == 1 ? 0 : uint32_t(uint64_t{k} * (shape.n_tokens - 1) / (n_compared - 1));
        const std::span<const float> row_x = x.subspan(uint64_t{t} * shape.n_in, shape.n_in);
        float largest = 0;
        for (const float value : row_x) largest = std::max(largest, std::abs(value));
        const double x_step = kind == XKind::q8 ? largest / 127.0 : 0.0;
        for (uint32_t o = 0; o < shape.n_out; ++o) {
            const ExactSum s(shape, w, o, row_x);
            const double found = y[uint64_t{t} * shape.n_out + o];
            worst = std::max(
                worst, gated ? share_of_gated_error(found, s, ExactSum(shape, w, shape.n_out + o, row_x), shape.n_in)
                             : share_of_error(found, s.sum, s.magnitude, s.weights, x_step, shape.n_in));
        }
    }
    return worst;
}

/// A product's operands; y starts as what no kernel would write. gated: two matrices of the shape, one after the other.
/// expert: they are those of the only expert, which all tokens have chosen.
struct TestProduct {
    MatmulShape shape;
    bool gated = false, expert = false;
    TestWeights weights;
    std::vector<float> x, y;

    TestProduct(const MatmulShape& of, SelfTestRandom random, bool two = false, bool of_expert = false)
        : shape(of), gated(two), expert(of_expert), weights(of, (two ? 2ull : 1ull) * of.n_out, random) {
        x.resize(uint64_t{of.n_tokens} * of.n_in);
        for (float& value : x) value = random.next();
        y.assign(uint64_t{of.n_tokens} * of.n_out, std::numeric_limits<float>::quiet_NaN());
    }
};

void multiply_expert(Ops& ops, const TestProduct& test, const Tensor& w, const Tensor& x, const Tensor& routes,
                     const Tensor& y) {
    const uint32_t n_out = test.shape.n_out;
    if (test.gated)
        ops.experts_up(Activation::silu, {w, {}, {}, n_out, 0, 2 * n_out}, {w, {}, {}, n_out, n_out, 2 * n_out}, x,
                       routes, y);
    else
        ops.experts_down({w, {}, {}, n_out, 0, n_out}, x, routes, y);
}

// In memory that the host reaches.
Result<void> run(Backend& backend, TestProduct& test) {
    const MatmulShape& shape = test.shape;
    const uint32_t n_rows = shape.n_out * (test.gated ? 2 : 1);
    const auto take = [&](std::span<const std::byte> bytes, const char* name) -> Result<std::unique_ptr<Storage>> {
        ATLAS_TRY(auto storage, backend.allocate(MemoryUse::output, (bytes.size() + 3) / 4 * 4, name));
        backend.write(*storage, 0, bytes);
        return storage;
    };
    std::vector<std::byte> stored = test.weights.bytes;
    if (shape.layout == Layout::planar) {
        stored.resize(stored_bytes(shape.weight, shape.layout, uint64_t{n_rows} * shape.n_in));
        const std::vector<std::byte> blocks = stored;
        to_planar(shape.weight, blocks, stored);
    }
    ATLAS_TRY(const auto w_storage, take(stored, "self-test w"));
    ATLAS_TRY(const auto x_storage, take(std::as_bytes(std::span(test.x)), "self-test x"));
    ATLAS_TRY(const auto y_storage, take(std::as_bytes(std::span(test.y)), "self-test y"));
    std::vector<float> route;  // expert 0, with weight 1
    for (uint32_t t = 0; t < shape.n_tokens; ++t) route.insert(route.end(), {0.0f, 1.0f});
    ATLAS_TRY(const auto route_storage, take(std::as_bytes(std::span(route)), "self-test routes"));
    const auto pass = [&](Ops& ops) {
        const Tensor w = dense(*w_storage, shape.weight, n_rows, shape.n_in, 0, shape.layout);
        const Tensor x = dense(*x_storage, Format::f32, shape.n_tokens, shape.n_in),
                     y = dense(*y_storage, Format::f32, shape.n_tokens, shape.n_out);
        if (test.expert)
            multiply_expert(ops, test, w, x, dense(*route_storage, Format::f32, shape.n_tokens, 2), y);
        else if (test.gated)
            ops.matmul_gated(Activation::silu, {w.row_range(0, shape.n_out), {}, {}},
                             {w.row_range(shape.n_out, shape.n_out), {}, {}}, x, y);
        else
            ops.matmul(w, x, y);
    };
    DryOps counted;
    pass(counted);
    ATLAS_TRY_VOID(backend.reserve_scratch(counted.counts().scratch_peak_bytes));
    ATLAS_TRY(const auto program, backend.record("self-test", pass));
    ATLAS_TRY_VOID(backend.run(*program));
    backend.read(*y_storage, 0, std::as_writable_bytes(std::span(test.y)));
    return {};
}

/// A whole tile and the remainder that `real` leaves; all of it where that is less.
uint32_t tile_and_rest(uint32_t real, uint32_t tile) {
    const uint32_t rest = real % tile;
    return std::min(real, tile + (rest == 0 ? tile : rest));
}

}  // namespace

MatmulShape self_test_shape(const MatmulUse& use) {
    constexpr uint32_t kShortRow = 1024;
    MatmulShape small = use.shape;
    small.n_out = tile_and_rest(use.shape.n_out, use.variant.tile_out);
    small.n_tokens = tile_and_rest(use.shape.n_tokens, use.variant.tile_tokens);
    // A split needs something to split.
    small.n_in = tile_and_rest(use.shape.n_in, use.variant.split_k > 1 ? kShortRow * 2 : kShortRow);
    return small;
}

Result<double> matmul_error(Backend& backend, const MatmulShape& shape, XKind kind,
                            const std::function<void(std::span<std::byte> weights)>& damage) {
    TestProduct test(shape, {});
    if (damage) damage(test.weights.bytes);
    ATLAS_TRY_VOID(run(backend, test));
    return compare(shape, test.weights, test.x, test.y, kind, false);
}

Result<double> gated_error(Backend& backend, const MatmulShape& shape,
                           const std::function<void(std::span<std::byte> weights)>& damage) {
    TestProduct test(shape, {}, true);
    if (damage) damage(test.weights.bytes);
    ATLAS_TRY_VOID(run(backend, test));
    return compare(shape, test.weights, test.x, test.y, XKind::f32, true);
}

Result<double> experts_error(Backend& backend, const MatmulShape& shape, bool gated,
                             const std::function<void(std::span<std::byte> weights)>& damage) {
    TestProduct test(shape, {}, gated, true);
    if (damage) damage(test.weights.bytes);
    ATLAS_TRY_VOID(run(backend, test));
    return compare(shape, test.weights, test.x, test.y, XKind::f32, gated);
}

Result<std::vector<float>> matmul_first_token(Backend& backend, const MatmulShape& shape) {
    TestProduct test(shape, {});
    ATLAS_TRY_VOID(run(backend, test));
    test.y.resize(shape.n_out);
    return std::move(test.y);
}

}  // namespace atlas
