// The layers of RefOps that keep a state.
#include <cmath>

#include "tests/reference/ref_ops.h"

namespace atlas {

namespace {

/// The tables of a step, token by token.
class Steps {
  public:
    explicit Steps(const StateTables& tables)
        : positions_(read_u32(tables.positions)),
          seqs_(read_u32(tables.seqs)),
          before_(read_u32(tables.before)),
          after_(read_u32(tables.after)) {}

    bool is_first(uint32_t t) const { return t == 0 || seqs_[t] != seqs_[t - 1]; }
    bool repeats(uint32_t t) const { return !is_first(t) && positions_[t] == positions_[t - 1]; }
    uint32_t before(uint32_t t) const { return before_.at(seqs_[t]); }
    std::optional<uint32_t> after(uint32_t t) const {
        return after_[t] == StateTables::kNoState ? std::nullopt : std::optional(after_[t]);
    }

  private:
    std::vector<uint32_t> positions_, seqs_, before_, after_;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return x > 30 ? x : std::log1p(std::exp(x)); }

/// v / sqrt(sum of squares + eps)
std::vector<double> unit(const std::vector<float>& row, size_t first, uint32_t n, double eps) {
    std::vector<double> v(row.begin() + ptrdiff_t(first), row.begin() + ptrdiff_t(first + n));
    double squares = 0;
    for (const double x : v) squares += x * x;
    for (double& x : v) x /= std::sqrt(squares + eps);
    return v;
}

/// One token of one head: M, f32, and y become those after it. k, q: normed.
struct DeltaStep {
    std::vector<double> q, k;
    double decay = 0, beta = 0;

    void run(const float* v, float* m, float* y) const {
        const size_t d = k.size();
        for (size_t j = 0; j < d; ++j) {
            double seen = 0;
            for (size_t i = 0; i < d; ++i) seen += decay * m[i * d + j] * k[i];
            const double delta = beta * (v[j] - seen);
            double sum = 0;
            for (size_t i = 0; i < d; ++i) {
                const double updated = decay * m[i * d + j] + k[i] * delta;
                m[i * d + j] = static_cast<float>(updated);
                sum += updated * q[i];
            }
            y[j] = static_cast<float>(sum / std::sqrt(double(d)));
        }
    }
};

}  // namespace

void RefOps::causal_conv(const Tensor& x, const Tensor& w, const Tensor& b, bool silu, const StateTables& tables,
                         const Tensor& states, const Tensor& y) {
    ATLAS_CHECK(w.rows == x.cols && y.cols == x.cols && y.rows == x.rows && (!b || b.cols == x.cols));
    const uint32_t n = x.cols, width = w.cols;
    ATLAS_CHECK(width > 0 && (width == 1 || states.cols == (width - 1) * n));
    const Steps steps(tables);
    std::vector<std::vector<float>> weights;
    for (uint32_t c = 0; c < n; ++c) weights.push_back(read_row(w, c));
    const std::vector<float> bias = b ? read_row(b, 0) : std::vector<float>(n);
    std::vector<float> inputs, out(n);  // inputs: of the last width - 1 tokens and this one
    for (uint32_t t = 0; t < x.rows; ++t) {
        if (steps.is_first(t)) {
            inputs.assign(n, 0);  // shifted out by the first token
            if (width > 1) {
                const auto state = read_row(states, steps.before(t));
                inputs.insert(inputs.end(), state.begin(), state.end());
            }
        }
        if (!steps.repeats(t)) {
            const auto row = read_row(x, t);
            inputs.erase(inputs.begin(), inputs.begin() + n);
            inputs.insert(inputs.end(), row.begin(), row.end());
        }
        for (uint32_t c = 0; c < n; ++c) {
            double sum = bias[c];
            for (uint32_t j = 0; j < width; ++j) sum += double{weights[c][j]} * inputs[size_t{j} * n + c];
            out[c] = static_cast<float>(silu ? sum * sigmoid(sum) : sum);
        }
        write_row(y, t, out);
        if (const auto slot = steps.after(t); slot && width > 1)
            write_row(states, *slot, std::vector<float>(inputs.begin() + n, inputs.end()));
    }
}

// The state is rounded to f32 after every token, so that it does not depend on how many tokens a step has.
void RefOps::delta_net(const DeltaNetInputs& in, const DeltaNetParams& p, const StateTables& tables,
                       const Tensor& states, const Tensor& y) {
    const uint32_t d = p.head_dim;
    ATLAS_CHECK(p.n_k_heads > 0 && p.n_v_heads % p.n_k_heads == 0 && in.q.cols == p.n_k_heads * d &&
                in.k.cols == in.q.cols && in.v.cols == p.n_v_heads * d && in.alpha.cols == p.n_v_heads &&
                in.beta.cols == p.n_v_heads && states.cols == p.n_v_heads * d * d);
    const Steps steps(tables);
    const auto a = read_row(in.a, 0), dt = read_row(in.dt_bias, 0);
    std::vector<float> state, out(in.v.cols);
    for (uint32_t t = 0; t < y.rows; ++t) {
        if (steps.is_first(t)) state = read_row(states, steps.before(t));
        if (!steps.repeats(t)) {
            const auto q = read_row(in.q, t), k = read_row(in.k, t), v = read_row(in.v, t);
            const auto alpha = read_row(in.alpha, t), beta = read_row(in.beta, t);
            for (uint32_t h = 0; h < p.n_v_heads; ++h) {
                const size_t key_head = p.grouped ? h / (p.n_v_heads / p.n_k_heads) : h % p.n_k_heads;
                const DeltaStep step{unit(q, key_head * d, d, p.eps), unit(k, key_head * d, d, p.eps),
                                     std::exp(a[h] * softplus(double{alpha[h]} + dt[h])), sigmoid(beta[h])};
                step.run(&v[size_t{h} * d], &state[size_t{h} * d * d], &out[size_t{h} * d]);
            }
        }
        write_row(y, t, out);
        if (const auto slot = steps.after(t)) write_row(states, *slot, state);
    }
}

void RefOps::state_space(const StateSpaceInputs& in, const StateSpaceParams& p, const StateTables& tables,
                         const Tensor& states, const Tensor& y) {
    const size_t n = p.n_state, d = p.head_dim;
    ATLAS_CHECK(p.n_groups > 0 && p.n_heads % p.n_groups == 0 && in.b.cols == p.n_groups * n &&
                in.c.cols == in.b.cols && in.x.cols == p.n_heads * d && in.dt.cols == p.n_heads &&
                states.cols == p.n_heads * n * d);
    const Steps steps(tables);
    const auto a = read_row(in.a, 0), dt_bias = read_row(in.dt_bias, 0), skip = read_row(in.d, 0);
    std::vector<float> state, out(in.x.cols);
    for (uint32_t t = 0; t < y.rows; ++t) {
        if (steps.is_first(t)) state = read_row(states, steps.before(t));
        if (!steps.repeats(t)) {
            const auto b = read_row(in.b, t), c = read_row(in.c, t), x = read_row(in.x, t), dts = read_row(in.dt, t);
            for (size_t h = 0; h < p.n_heads; ++h) {
                const size_t group = h / (p.n_heads / p.n_groups) * n;
                const double dt = softplus(double{dts[h]} + dt_bias[h]), decay = std::exp(a[h] * dt);
                for (size_t j = 0; j < d; ++j) {
                    const double value = x[h * d + j];
                    double sum = skip[h] * value;
                    for (size_t i = 0; i < n; ++i) {
                        float& s = state[(h * n + i) * d + j];
                        const double next = decay * s + dt * value * b[group + i];
                        sum += next * c[group + i];
                        s = static_cast<float>(next);
                    }
                    out[h * d + j] = static_cast<float>(sum);
                }
            }
        }
        write_row(y, t, out);
        if (const auto slot = steps.after(t)) write_row(states, *slot, state);
    }
}

}  // namespace atlas
