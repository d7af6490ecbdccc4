// RefOps: activations, scales and layer norm.
#include "tests/reference/ref_activation.h"

#include <algorithm>
#include <cmath>

#include "tests/reference/ref_ops.h"

namespace atlas {

double softplus(double v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v))); }

double activated(Activation activation, double g) {
    switch (activation) {
        case Activation::silu:
            return g / (1.0 + std::exp(-g));
        case Activation::gelu_tanh:
            return g / (1.0 + std::exp(-2.0 * std::sqrt(2.0 / M_PI) * (g + 0.044715 * g * g * g)));
        case Activation::relu_squared:
            return std::max(g, 0.0) * std::max(g, 0.0);
        case Activation::sigmoid:
            return 1.0 / (1.0 + std::exp(-g));
        case Activation::softplus:
            return softplus(g);
        case Activation::none:
            return g;
        case Activation::silu_clamped:
            return std::min(g, 7.0) / (1.0 + std::exp(-1.702 * std::min(g, 7.0)));
    }
    return NAN;
}

double factor_beside(Activation activation, double up) {
    return activation == Activation::silu_clamped ? std::clamp(up, -7.0, 7.0) + 1.0 : up;
}

namespace {

// One run of columns, in place. `bias` may be empty.
void norm_run(std::span<float> run, const std::vector<float>& gain, const std::vector<float>& bias, float eps) {
    double mean = 0, squares = 0;
    for (const float v : run) mean += v;
    mean /= double(run.size());
    for (const float v : run) squares += (v - mean) * (v - mean);
    const double factor = 1.0 / std::sqrt(squares / double(run.size()) + eps);
    for (size_t i = 0; i < run.size(); ++i)
        run[i] = static_cast<float>((run[i] - mean) * factor * gain[i] + (bias.empty() ? 0.0 : bias[i]));
}

}  // namespace

void RefOps::gated_mul(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y) {
    ATLAS_CHECK(gate.cols > 0 && up.cols % gate.cols == 0, "gate of {} columns for {}", gate.cols, up.cols);
    const uint32_t repeat = up.cols / gate.cols;
    for (uint32_t t = 0; t < up.rows; ++t) {
        const auto gates = read_row(gate, gate.rows == 1 ? 0 : t);
        auto values = read_row(up, t);
        for (uint32_t i = 0; i < up.cols; ++i)
            values[i] =
                static_cast<float>(activated(activation, gates[i / repeat]) * factor_beside(activation, values[i]));
        write_row(y, t, values);
    }
}

void RefOps::activate(Activation activation, const Tensor& x, const Tensor& y) {
    for (uint32_t t = 0; t < x.rows; ++t) {
        auto values = read_row(x, t);
        for (float& value : values) value = static_cast<float>(activated(activation, value));
        write_row(y, t, values);
    }
}

void RefOps::layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps, const Tensor& y) {
    for (uint32_t t = 0; t < x.rows; ++t) {
        auto values = read_row(x, t);
        for (uint32_t r = 0; r < gain.rows; ++r)
            norm_run(std::span(values).subspan(r * gain.cols, gain.cols), read_row(gain, r),
                     bias ? read_row(bias, 0) : std::vector<float>(), eps);
        write_row(y, t, values);
    }
}

void RefOps::scale(const Tensor& x, float f, float cap, const Tensor& y) {
    for (uint32_t t = 0; t < x.rows; ++t) {
        auto values = read_row(x, t);
        for (float& value : values) {
            const double scaled = double{f} * value;
            value = static_cast<float>(cap > 0 ? cap * std::tanh(scaled / cap) : scaled);
        }
        write_row(y, t, values);
    }
}

void RefOps::scale_by_position(const Tensor& x, const U32View& positions, float beta, uint32_t n_ctx) {
    const auto at = read_u32(positions);
    for (uint32_t t = 0; t < x.rows; ++t) {
        auto values = read_row(x, t);
        const double factor = 1.0 + beta * std::log(1.0 + at[t] / n_ctx);
        for (float& value : values) value = static_cast<float>(value * factor);
        write_row(x, t, values);
    }
}

}  // namespace atlas
