#pragma once
// Runs a matrix product with one named variant, against RefOps.

#include "runtime/kernels/select/matmul_variant.h"
#include "tests/kernels/twin.h"

namespace atlas::test {

enum class AddTo { none, bias, residual, residual_in_place };

struct VariantCase {
    MatmulShape shape;
    AddTo add = AddTo::none;
    Placing placing = {};
    bool exact_halves = false;                              // activations that a half holds exactly
    std::function<double(uint32_t token)> scale = nullptr;  // of a token's activations, 1 if empty
    float outlier = 0;  // of every token, in a column whose weights are zero; 0: none
    std::function<double(uint32_t row, uint32_t col)> w = nullptr,
                                                      x = nullptr;  // the operands; random between -1 and 1 if empty
};

class VariantTest : public KernelTest {
  protected:
    /// A device without a graphics card's limits still runs its kernels.
    VkBackend& vk() { return backend(true); }

    std::vector<MatmulVariant> candidates(const MatmulShape& shape,
                                          const std::function<bool(const MatmulVariant&)>& wanted) {
        std::vector<MatmulVariant> out;
        for (const MatmulVariant& v : matmul_candidates(vk().kernel_caps(), shape)) {
            if (wanted(v)) out.push_back(v);
        }
        return out;
    }

    /// weight_rounding, x_rounding: half a step of what the kernel rounds its operands to, relative to each. half_sums:
    /// how often it rounds a sum of products to a half before it is added to the others; 0: never.
    void check(const MatmulVariant& variant, const VariantCase& c, double weight_rounding, double x_rounding,
               uint32_t half_sums = 0) {
        const MatmulShape& s = c.shape;
        SCOPED_TRACE(fmt::format("{}: {} [{}, {}], {} tokens, add {}", variant.name(), info(s.weight).name, s.n_out,
                                 s.n_in, s.n_tokens, int(c.add)));
        Twin w(vk(), s.weight, s.n_out, s.n_in, c.placing), x(vk(), Format::f32, s.n_tokens, s.n_in, c.placing);
        Twin y(vk(), Format::f32, s.n_tokens, s.n_out, c.placing),
            b(vk(), Format::f32, c.add == AddTo::bias ? 1 : s.n_tokens, s.n_out, c.placing);
        constexpr uint32_t kOutlierColumn = 3;
        std::uniform_real_distribution<double> values(-1, 1);
        w.fill([&](uint32_t o, uint32_t i) {
            if (c.outlier != 0 && i == kOutlierColumn) return 0.0;
            return c.w ? c.w(o, i) : values(random_);
        });
        b.randomize(random_);
        y.randomize(random_);
        x.fill([&](uint32_t t, uint32_t i) {
            if (c.outlier != 0 && i == kOutlierColumn) return double{c.outlier};
            if (c.x) return c.x(t, i);
            const double value = (c.exact_halves ? std::round(values(random_) * 256) / 256 : values(random_));
            return value * (c.scale ? c.scale(t) : 1.0);
        });
        const Twin& added = c.add == AddTo::residual_in_place ? y : b;
        std::vector<std::vector<float>> b_rows;
        for (uint32_t t = 0; t < s.n_tokens; ++t)
            b_rows.push_back(read_row(added.on(Side::host), c.add == AddTo::bias ? 0 : t));

        KernelChoices choices;
        choices.preferred[tuning_key(s)] = variant.name();
        ASSERT_EQ(choose_matmul(vk().kernel_caps(), choices, s).name(), variant.name());
        vk().choices() = choices;
        run_both(vk(), {&w, &x, &y, &b}, [&](Ops& ops, Side side) {
            if (c.add == AddTo::none) return ops.matmul(w.on(side), x.on(side), y.on(side));
            ops.matmul_add(w.on(side), x.on(side), added.on(side), y.on(side));
        });
        vk().choices() = {};
        y.expect_near(
            [&](uint32_t t, uint32_t o, double) {
                const double magnitude = dot_magnitude(w.on(Side::host), o, x.on(Side::host), t);
                const double added_magnitude = c.add == AddTo::none ? 0.0 : std::abs(b_rows[t][o]);
                // Sums in f32, as in matmul_test.cpp; a split rounds once more.
                const double sums = kUlp * (4 + std::sqrt(double(s.n_in)) + variant.split_k);
                // Where sums are halves too, activations are 64 times smaller, and so is what is left of the smallest;
                // and each sum is off by half of the least step of halves at least.
                const double subnormals = weight_rounding == 0 && half_sums == 0
                                              ? 0.0
                                              : half_subnormals(w.on(Side::host), o, x.on(Side::host), t, half_sums);
                return sums * (magnitude + added_magnitude) +
                       (weight_rounding + x_rounding + half_sums / 2048.0) * magnitude + subnormals;
            },
            "y");
    }

  private:
    /// Halves below 2^-14 have steps of 2^-24: a small weight may be off by half of that, whatever its size, and so may
    /// an activation, whose row is scaled so that its largest is 2^14 at least, or 2^8 with half sums;
    /// half_sums: how many of them 32 columns have.
    static double half_subnormals(const Tensor& w, uint32_t o, const Tensor& x, uint32_t t, uint32_t half_sums) {
        double w_sum = 0, x_sum = 0, x_largest = 0;
        for (const float value : read_row(w, o)) w_sum += std::abs(double{value});
        for (const float value : read_row(x, t)) {
            x_sum += std::abs(double{value});
            x_largest = std::max(x_largest, std::abs(double{value}));
        }
        const double step = x_largest / (half_sums == 0 ? 1 << 14 : 1 << 8), n_sums = half_sums * (x.cols + 31.0) / 32;
        return (x_sum + (w_sum + n_sums) * step) / (1 << 25);
    }
};

}  // namespace atlas::test
