#include "tests/reference/ref_ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "quant/codec.h"
#include "tests/reference/feedback_rounding.h"

namespace atlas {

namespace {

HostStorage& host(Storage* storage) {
    auto* memory = dynamic_cast<HostStorage*>(storage);
    ATLAS_CHECK(memory != nullptr, "RefOps got a storage that is not in host memory");
    return *memory;
}

std::span<std::byte> row_bytes(const Tensor& tensor, uint32_t row) {
    const uint64_t at = tensor.offset_bytes + row * tensor.row_stride_bytes();
    const uint64_t bytes = bytes_of(tensor.format, tensor.cols);
    ATLAS_CHECK(row < tensor.rows && at + bytes <= tensor.storage->bytes(), "row {} at byte {} of {}", row, at,
                tensor.storage->bytes());
    return {host(tensor.storage).data() + at, bytes};
}

// How much of dimension pair `pair` stays extrapolated: YaRN's ramp, arXiv:2309.00071 section 3.2.
double yarn_keep(const RopeParams& p, uint32_t pair) {
    const auto dimension_at = [&](double rotations) {
        return p.n_rot * std::log(p.n_ctx_orig / (rotations * 2.0 * M_PI)) / (2.0 * std::log(double{p.rope_theta}));
    };
    const double low = std::max(0.0, std::floor(dimension_at(p.beta_fast)));
    const double high = std::min(p.n_rot - 1.0, std::ceil(dimension_at(p.beta_slow)));
    const double ramp = (pair - low) / std::max(0.001, high - low);
    return (1.0 - std::clamp(ramp, 0.0, 1.0)) * p.ext_factor;
}

}  // namespace

std::vector<float> read_row(const Tensor& tensor, uint32_t row) {
    std::vector<float> values(tensor.cols);
    dequantize_row(tensor.format, row_bytes(tensor, row), values);
    return values;
}

void write_row(const Tensor& tensor, uint32_t row, const std::vector<float>& values) {
    ATLAS_CHECK_EQ(values.size(), size_t{tensor.cols});
    quantize_row(tensor.format, values, row_bytes(tensor, row));
}

std::vector<uint32_t> read_u32(const U32View& view) {
    ATLAS_CHECK(view.offset_bytes % 4 == 0 && view.offset_bytes + view.count * 4ull <= view.storage->bytes(),
                "{} ids at byte {} of {}", view.count, view.offset_bytes, view.storage->bytes());
    std::vector<uint32_t> values(view.count);
    if (view.count > 0) std::memcpy(values.data(), host(view.storage).data() + view.offset_bytes, values.size() * 4);
    return values;
}

Tensor RefOps::scratch(uint32_t rows, uint32_t cols, std::string_view name) {
    const uint64_t bytes = uint64_t{rows} * cols * sizeof(float);
    const uint64_t offset = stack_.push(bytes);
    ATLAS_CHECK(offset + bytes <= scratch_.bytes(), "scratch {} [{}, {}] at {} of {} bytes", name, rows, cols, offset,
                scratch_.bytes());
    // not-a-number: an operation that reads before it writes gives itself away
    std::memset(scratch_.data() + offset, 0xff, bytes);
    return {&scratch_, Format::f32, offset, rows, cols, cols};
}

void RefOps::get_rows(const Tensor& table, const U32View& ids, const Tensor& out) {
    const auto rows = read_u32(ids);
    for (uint32_t i = 0; i < ids.count; ++i) write_row(out, i, read_row(table, rows[i] < table.rows ? rows[i] : 0));
}

void RefOps::matmul(const Tensor& w, const Tensor& x, const Tensor& y) {
    ATLAS_CHECK_EQ(w.cols, x.cols);
    ATLAS_CHECK_EQ(w.rows, y.cols);
    ATLAS_CHECK_EQ(x.rows, y.rows);
    std::vector<std::vector<float>> inputs;
    for (uint32_t t = 0; t < x.rows; ++t) inputs.push_back(read_row(x, t));
    std::vector<std::vector<float>> outputs(x.rows, std::vector<float>(w.rows));
    for (uint32_t o = 0; o < w.rows; ++o) {
        const auto weights = read_row(w, o);
        for (uint32_t t = 0; t < x.rows; ++t) {
            double sum = 0;
            for (uint32_t i = 0; i < w.cols; ++i) sum += double{weights[i]} * inputs[t][i];
            outputs[t][o] = static_cast<float>(sum);
        }
    }
    for (uint32_t t = 0; t < x.rows; ++t) write_row(y, t, outputs[t]);
}

void RefOps::rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& y) {
    const auto gains = gain ? read_row(gain, 0) : std::vector<float>(x.cols, 1.0f);
    for (uint32_t t = 0; t < x.rows; ++t) {
        auto values = read_row(x, t);
        double squares = 0;
        for (float v : values) squares += double{v} * v;
        const double scale = 1.0 / std::sqrt(squares / x.cols + eps);
        for (uint32_t i = 0; i < x.cols; ++i) values[i] = static_cast<float>(values[i] * scale * gains[i]);
        write_row(y, t, values);
    }
}

void RefOps::add(const Tensor& a, const Tensor& b, const Tensor& y) {
    ATLAS_CHECK(b.rows == 1 || b.rows == a.rows, "add of {} rows to {}", b.rows, a.rows);
    for (uint32_t t = 0; t < a.rows; ++t) {
        auto values = read_row(a, t);
        const auto more = read_row(b, b.rows == 1 ? 0 : t);
        for (uint32_t i = 0; i < a.cols; ++i) values[i] += more[i];
        write_row(y, t, values);
    }
}

void RefOps::hadamard(const Tensor& x, uint32_t block) {
    for (uint32_t t = 0; t < x.rows; ++t) {
        const auto before = read_row(x, t);
        auto after = before;
        for (uint32_t c = 0; c < x.cols; ++c) {
            double sum = 0;
            for (uint32_t i = 0; i < block; ++i) {
                const bool minus = std::popcount(i & (c % block)) % 2 != 0;
                sum += (minus ? -1 : 1) * double{before[c / block * block + i]};
            }
            after[c] = static_cast<float>(sum / std::sqrt(double(block)));
        }
        write_row(x, t, after);
    }
}

void RefOps::rotate_heads(const Tensor& x, const Tensor& w, const Tensor& shift) {
    const uint32_t d = w.cols, heads_per_group = x.cols / w.rows;
    for (uint32_t t = 0; t < x.rows; ++t) {
        const auto before = read_row(x, t);
        auto after = before;
        for (uint32_t h = 0; h < x.cols / d; ++h) {
            const uint32_t first = h / heads_per_group * d;
            std::vector<double> sums(d, 0);
            if (shift) {
                const auto shifts = read_row(shift, 0);
                for (uint32_t o = 0; o < d; ++o) sums[o] = shifts[first + o];
            }
            for (uint32_t i = 0; i < d; ++i) {
                const auto factors = read_row(w, first + i);
                for (uint32_t o = 0; o < d; ++o) sums[o] += double{before[h * d + i]} * factors[o];
            }
            for (uint32_t o = 0; o < d; ++o) after[h * d + o] = static_cast<float>(sums[o]);
        }
        write_row(x, t, after);
    }
}

void RefOps::rope(const Tensor& x, const RopeParams& p, const U32View& positions, const Tensor& factors) {
    ATLAS_CHECK_EQ(positions.count, x.rows);
    const auto position = read_u32(positions);
    const auto factor = factors ? read_row(factors, 0) : std::vector<float>(p.n_rot / 2, 1.0f);
    // YaRN also scales q and k by 1 + 0.1 ln(scaling factor).
    const double magnitude = p.attn_factor * (p.ext_factor != 0 ? 1.0 + 0.1 * std::log(1.0 / p.freq_scale) : 1.0);
    const bool adjacent = p.pairing == RopeParams::Pairing::adjacent;
    for (uint32_t t = 0; t < x.rows; ++t) {
        auto values = read_row(x, t);
        for (uint32_t at = 0; at < x.cols; at += p.head_dim) {
            for (uint32_t i = 0; i < p.n_rot / 2; ++i) {
                const double extrapolated =
                    position[t] * std::pow(double{p.rope_theta}, -2.0 * i / p.n_rot) / factor[i];
                const double keep = p.ext_factor != 0 ? yarn_keep(p, i) : 0.0;
                const double angle = p.freq_scale * extrapolated * (1 - keep) + extrapolated * keep;
                float& a = values[at + (adjacent ? 2 * i : i)];
                float& b = values[at + (adjacent ? 2 * i + 1 : i + p.n_rot / 2)];
                const double cosine = std::cos(angle) * magnitude;
                const double sine = std::sin(angle) * magnitude;
                const double rotated_a = a * cosine - b * sine;
                const double rotated_b = a * sine + b * cosine;
                a = static_cast<float>(rotated_a);
                b = static_cast<float>(rotated_b);
            }
        }
        write_row(x, t, values);
    }
}

namespace {

void write_row_with_feedback(const Tensor& cache, const Tensor& feedback_of_all, uint32_t slot,
                             const std::vector<float>& k) {
    const uint32_t d = feedback_of_all.cols;
    std::vector<std::byte> row;
    for (uint32_t at = 0; at < k.size(); at += d) {
        std::vector<float> feedback;
        for (uint32_t i = 0; i < d; ++i) {
            const auto factors = read_row(feedback_of_all, at + i);
            feedback.insert(feedback.end(), factors.begin(), factors.end());
        }
        const auto head = test::round_with_feedback(cache.format, std::span(k).subspan(at, d), feedback);
        row.insert(row.end(), head.begin(), head.end());
    }
    std::ranges::copy(row, row_bytes(cache, slot).begin());
}

}  // namespace

void RefOps::kv_write(const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots) {
    const auto slot = read_u32(slots);
    for (uint32_t t = 0; t < k.rows; ++t) {
        if (cache.k_passes_on_errors())
            write_row_with_feedback(cache.k, cache.fitted_k.feedback, slot[t], read_row(k, t));
        else
            write_row(cache.k, slot[t], read_row(k, t));
        if (!v) continue;
        if (cache.v_passes_on_errors())
            write_row_with_feedback(cache.v, cache.fitted_v.feedback, slot[t], read_row(v, t));
        else
            write_row(cache.v, slot[t], read_row(v, t));
    }
}

void RefOps::kv_copy(const Tensor& from, const U32View& from_pages, const Tensor& to, const U32View& to_pages,
                     uint32_t page_tokens) {
    ATLAS_CHECK(from.format == to.format && from.cols == to.cols && from_pages.count == to_pages.count,
                "kv_copy between different caches");
    const auto sources = read_u32(from_pages), targets = read_u32(to_pages);
    for (size_t i = 0; i < sources.size(); ++i) {
        if (sources[i] >= from.rows / page_tokens || targets[i] >= to.rows / page_tokens) continue;
        for (uint32_t r = 0; r < page_tokens; ++r) {
            const auto row = row_bytes(from, sources[i] * page_tokens + r);
            std::memcpy(row_bytes(to, targets[i] * page_tokens + r).data(), row.data(), row.size());
        }
    }
}

namespace {

// The requested rows of a cache, each decoded once.
class DecodedRows {
  public:
    explicit DecodedRows(const Tensor& cache) : cache_(cache), rows_(cache.rows) {}
    const std::vector<float>& row(uint32_t slot) {
        if (rows_.at(slot).empty()) rows_[slot] = read_row(cache_, slot);
        return rows_[slot];
    }

  private:
    const Tensor& cache_;
    std::vector<std::vector<float>> rows_;
};

// Turns the scores of one head's keys into weights, in place; returns what to divide them by.
double softmax_weights(std::vector<double>& scores, const double* sink) {
    double largest = sink != nullptr ? *sink : -INFINITY;
    for (const double score : scores) largest = std::max(largest, score);
    double total = sink != nullptr ? std::exp(*sink - largest) : 0;
    for (double& score : scores) total += score = std::exp(score - largest);
    return total;
}

}  // namespace

void RefOps::attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables, const AttentionParams& p,
                       const Tensor& y) {
    const auto positions = read_u32(tables.positions), seqs = read_u32(tables.seqs),
               pages = read_u32(tables.page_table);
    const auto sinks = p.sinks ? read_row(p.sinks, 0) : std::vector<float>();
    const uint32_t group = p.n_head / p.n_head_kv, k_dim = p.head_dim, v_dim = p.value_dim();
    DecodedRows keys(cache.k), values(cache.v);
    for (uint32_t t = 0; t < q.rows; ++t) {
        ATLAS_CHECK(positions[t] < tables.max_kv_tokens, "position {} of {}", positions[t], tables.max_kv_tokens);
        std::vector<uint32_t> slots;
        const uint32_t first = p.window != 0 && positions[t] >= p.window ? positions[t] - p.window + 1 : 0;
        for (uint32_t at = first; at <= positions[t]; ++at) {
            const uint32_t page = pages.at(size_t{seqs[t]} * tables.max_pages + at / cache.page_tokens);
            slots.push_back(page * cache.page_tokens + at % cache.page_tokens);
        }
        const auto query = read_row(q, t);
        std::vector<float> out(y.cols);
        for (uint32_t h = 0; h < p.n_head; ++h) {
            std::vector<double> scores;
            for (const uint32_t slot : slots) {
                const float* key = keys.row(slot).data() + h / group * k_dim;
                double dot = 0;
                for (uint32_t i = 0; i < k_dim; ++i) dot += double{query[h * k_dim + i]} * key[i];
                const double score = dot * p.scale;
                scores.push_back(p.softcap != 0 ? p.softcap * std::tanh(score / p.softcap) : score);
            }
            const double sink = sinks.empty() ? 0 : sinks[h];
            const double total = softmax_weights(scores, sinks.empty() ? nullptr : &sink);
            std::vector<double> sums(v_dim);
            for (size_t at = 0; at < slots.size(); ++at) {
                const float* value = values.row(slots[at]).data() + h / group * v_dim;
                for (uint32_t i = 0; i < v_dim; ++i) sums[i] += scores[at] * value[i];
            }
            for (uint32_t i = 0; i < v_dim; ++i) out[h * v_dim + i] = static_cast<float>(sums[i] / total);
        }
        write_row(y, t, out);
    }
}

}  // namespace atlas
