// Recording and running on a device, watched by validation.
#include "tests/vk/test_kernel.h"

namespace atlas::vk {
namespace {

class RecorderTest : public DeviceTest {
  protected:
    void SetUp() override {
        DeviceTest::SetUp();
        if (!device_) return;
        auto kernel = device_->kernels().get(scale_add_spec());
        ASSERT_TRUE(kernel) << kernel.error().message;
        kernel_ = *kernel;
    }
    const Kernel* kernel_ = nullptr;
};

TEST_F(RecorderTest, OneDispatchComputes) {
    const BufferRange x = floats(*device_, 1000, 3, "x"), y = floats(*device_, 1000, 1, "y"), z = floats(*device_, 1000, 0, "z");
    Recorder recorder(*device_, "one");
    record_scale_add(recorder, *kernel_, x, y, z, 2);
    auto recording = recorder.finish();
    ASSERT_TRUE(recording) << recording.error().message;
    const auto done = device_->queue().run(*recording);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(read_floats(*device_, z), std::vector<float>(1000, 7));
}

}  // namespace
}  // namespace atlas::vk
