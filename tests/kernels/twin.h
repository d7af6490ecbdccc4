#pragma once
// The same bytes on the device and on the host: an operation runs on both, VkOps against RefOps, and every byte of the
// device's storage that the operation may not touch is checked to be as it was.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>

#include "quant/codec.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/ops/dry_ops.h"
#include "runtime/vk/caps.h"
#include "runtime/vk/instance.h"
#include "tests/reference/ref_ops.h"
#include "tests/support/end_of_tests.h"

namespace atlas::test {

inline constexpr double kUlp = 1.0 / (1 << 24);  // half of a float's last place, relative

/// tuned_for_gpu: takes the kernels that a graphics card would get, so that they run here too. forced: matrix products
/// take the variants whose name begins so.
inline std::unique_ptr<VkBackend> validated_backend(bool tuned_for_gpu, const std::string& forced = "") {
    VkBackendOptions options;
    options.validation = true;
    options.tune_for_gpu = tuned_for_gpu;
    options.forced_matmul = forced;
    options.pipeline_cache = fmt::format("{}/test_kernels{}{}.pipelines", ATLAS_BINARY_DIR, tuned_for_gpu ? "_gpu" : "",
                                         forced.empty() ? "" : "_forced");
    auto made = make_vk_backend(options);
    if (!made) {
        ADD_FAILURE() << made.error().message;
        std::abort();
    }
    return std::move(*made);
}

/// One backend per kind for the whole program: pipelines are slow to build.
inline VkBackend& backend(bool tuned_for_gpu = false) {
    auto& plain = kept_for_all_tests([] { return validated_backend(false); });
    auto& tuned = kept_for_all_tests([] { return validated_backend(true); });
    return tuned_for_gpu ? tuned : plain;
}

/// As backend(true), with forced products.
inline VkBackend& forced_backend(const std::string& forced) {
    using Backends = std::map<std::string, std::unique_ptr<VkBackend>>;
    auto& made = kept_for_all_tests([] { return std::make_unique<Backends>(); })[forced];
    if (!made) made = validated_backend(true, forced);
    return *made;
}

/// A test that ends with no message of the validation layers.
class KernelTest : public ::testing::Test {
  protected:
    void TearDown() override {
        for (const bool gpu : {false, true}) expect_no_messages(backend(gpu));
    }
    static void expect_no_messages(VkBackend& vk) {
        for (const vk::ValidationMessage& message : vk.take_validation_messages())
            ADD_FAILURE() << message.id << ": " << message.text;
    }
    std::mt19937 random_{7};
};

/// Where a view lies in its storage: not at the start, not dense, and not aligned to anything but its own blocks.
struct Placing {
    uint32_t offset_blocks = 3;
    uint32_t pad_blocks = 5;  // between rows
};

enum class Side { device, host };

/// A matrix (or list of integers) on both sides, in the middle of a storage filled with a pattern.
class Twin {
  public:
    static constexpr uint64_t kGuardBytes = 512;

    /// layout: of the device's side; the host's stays in blocks.
    Twin(VkBackend& vk, Format format, uint32_t rows, uint32_t cols, Placing placing = {},
         Layout layout = Layout::blocks)
        : vk_(vk), rows_(rows), cols_(cols), format_(format), layout_(layout) {
        const FormatInfo& f = info(format);
        stride_ = cols + (rows > 1 ? placing.pad_blocks * f.block_elems : 0);
        offset_ = uint64_t{placing.offset_blocks} * f.block_bytes;
        const uint64_t bytes = offset_ + rows * bytes_of(format, stride_) + kGuardBytes;
        const uint64_t unit = layout == Layout::planar ? unit_bytes(format, layout) : 4;
        host_ = std::make_unique<HostStorage>("twin", (bytes + unit - 1) / unit * unit);
        for (uint64_t i = 0; i < host_->bytes(); ++i) host_->data()[i] = std::byte(0xA5 ^ (i * 29));
        auto made = vk.allocate(MemoryUse::output, host_->bytes(), "twin");
        EXPECT_TRUE(made) << (made ? "" : made.error().message);
        device_ = std::move(*made);
    }

    virtual ~Twin() = default;

    virtual Tensor on(Side side) const {
        return {
            storage(side), format_, offset_, rows_, cols_, stride_, side == Side::device ? layout_ : Layout::blocks};
    }
    U32View ids(Side side) const { return {storage(side), offset_, rows_ * cols_}; }

    template <class Make>
    Twin& fill(Make make) {
        std::vector<float> row(cols_);
        for (uint32_t r = 0; r < rows_; ++r) {
            for (uint32_t c = 0; c < cols_; ++c) row[c] = static_cast<float>(make(r, c));
            write_row(on(Side::host), r, row);
        }
        return *this;
    }
    Twin& randomize(std::mt19937& random, float low = -1, float high = 1) {
        std::uniform_real_distribution<float> values(low, high);
        return fill([&](uint32_t, uint32_t) { return values(random); });
    }
    /// One row of integers (the format is f32, of the same size).
    Twin& integers(const std::vector<uint32_t>& values) {
        std::memcpy(host_->data() + offset_, values.data(), values.size() * 4);
        return *this;
    }

    virtual void to_device() {
        if (layout_ == Layout::blocks) return vk_.write(*device_, 0, {host_->data(), host_->bytes()});
        std::vector<std::byte> planar(host_->bytes());
        to_planar(format_, {host_->data(), host_->bytes()}, planar);
        vk_.write(*device_, 0, planar);
    }
    /// Remembers what is on the device now; call it after the run.
    virtual void from_device() {
        result_.resize(host_->bytes());
        vk_.read(*device_, 0, result_);
        if (layout_ == Layout::blocks) return;
        const std::vector<std::byte> planar = result_;
        from_planar(format_, planar, result_);
    }
    std::vector<float> device_row(uint32_t row) const {
        std::vector<float> values(cols_);
        const Tensor view = on(Side::host);
        dequantize_row(format_,
                       std::span(result_).subspan(offset_ + row * view.row_stride_bytes(), bytes_of(format_, cols_)),
                       values);
        return values;
    }

    /// Bytes outside the view must be the host's (which RefOps did not touch); bytes inside are compared by
    /// `bound`(row, col, expected).
    template <class Bound>
    void expect_near(Bound bound, const char* what) {
        const Tensor view = on(Side::host);
        std::vector<bool> inside(host_->bytes());
        int shown = 0;
        for (uint32_t r = 0; r < rows_; ++r) {
            const uint64_t at = offset_ + r * view.row_stride_bytes();
            std::fill_n(inside.begin() + std::ptrdiff_t(at), bytes_of(format_, cols_), true);
            const auto expected = read_row(view, r), found = device_row(r);
            for (uint32_t c = 0; c < cols_; ++c) {
                const double difference = std::abs(double{expected[c]} - found[c]),
                             limit = bound(r, c, double{expected[c]});
                if (difference <= limit || ++shown > 5) continue;
                ADD_FAILURE() << what << " [" << r << ", " << c << "]: " << found[c] << ", expected " << expected[c]
                              << ", differs by " << difference << ", limit " << limit;
            }
        }
        EXPECT_LE(shown, 5) << what << ": " << shown << " values differ";
        for (uint64_t i = 0; i < host_->bytes(); ++i) {
            if (inside[i] || result_[i] == host_->data()[i]) continue;
            ADD_FAILURE() << what << ": byte " << i << " outside of the view changed";
            return;
        }
    }
    /// All bytes of both sides, those of the view included: for words that are no numbers.
    void expect_same_bytes() {
        for (uint64_t i = 0; i < host_->bytes(); ++i) {
            if (result_[i] == host_->data()[i]) continue;
            ADD_FAILURE() << "[" << rows_ << ", " << cols_ << "]: byte " << i << " (word "
                          << (int64_t(i) - int64_t(offset_)) / 4 << " of the view) is " << int(result_[i])
                          << ", expected " << int(host_->data()[i]);
            return;
        }
    }
    void expect_equal(const char* what) {
        expect_near([](uint32_t, uint32_t, double) { return 0.0; }, what);
    }

  protected:
    Storage* storage(Side side) const {
        return side == Side::host ? static_cast<Storage*>(host_.get()) : device_.get();
    }

    VkBackend& vk_;
    uint32_t rows_, cols_, stride_ = 0;
    Format format_;
    Layout layout_;
    uint64_t offset_ = 0;
    std::unique_ptr<HostStorage> host_;
    std::unique_ptr<Storage> device_;
    std::vector<std::byte> result_;
};

/// Runs a pass on the device and, with RefOps, on the host. Every twin that the pass uses must be listed.
inline void run_both(VkBackend& vk, const std::vector<Twin*>& twins, const std::function<void(Ops&, Side)>& pass) {
    for (Twin* twin : twins) twin->to_device();
    DryOps counted;
    pass(counted, Side::host);
    const auto reserved = vk.reserve_scratch(counted.counts().scratch_peak_bytes);
    ASSERT_TRUE(reserved) << reserved.error().message;
    auto program = vk.record("test", [&](Ops& ops) { pass(ops, Side::device); });
    ASSERT_TRUE(program) << program.error().message;
    const auto ran = vk.run(**program);
    ASSERT_TRUE(ran) << ran.error().message;
    for (Twin* twin : twins) twin->from_device();
    HostStorage scratch("scratch", uint64_t{16} << 20);
    RefOps ref(scratch);
    pass(ref, Side::host);
}

inline uint32_t whole_blocks(Format format, uint32_t elems) {
    const uint32_t block = info(format).block_elems;
    return (elems + block - 1) / block * block;
}

/// Whether a view can be planar: of halves only in whole groups.
inline bool can_be_planar(Format format, uint32_t cols, Placing placing) {
    return atlas::can_be_planar(format, cols) &&
           (info(format).block_elems > 1 ||
            (placing.offset_blocks % kGroupBlocks == 0 && placing.pad_blocks % kGroupBlocks == 0));
}

/// sum_i |w[o, i] * x[t, i]|: what the error of a dot product in f32 is relative to.
inline double dot_magnitude(const Tensor& w, uint32_t o, const Tensor& x, uint32_t t) {
    const auto a = read_row(w, o), b = read_row(x, t);
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double{a[i]} * b[i]);
    return sum;
}

}  // namespace atlas::test
