// Files of this computer in the store.
#include "tools/models/import_model.h"

#include <gmock/gmock.h>

#include <fstream>

#include "runtime/base/os.h"
#include "runtime/gguf/writer.h"
#include "tests/support/temp_dir.h"

namespace atlas::tools {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class Import : public ::testing::Test {
  protected:
    fs::path write(const std::string& name) {
        gguf::Writer writer;
        writer.add("general.architecture", "llama");
        EXPECT_TRUE(writer.write(folder_ / name).has_value());
        return folder_ / name;
    }
    Result<StoredModel> import(const fs::path& path, const std::string& name, ImportBy by) {
        return import_model(store_, path, name, by, {});
    }

    TempDir folder_;
    ModelStore store_{folder_ / "models"};
};

TEST_F(Import, ByLinkOrByCopyUnderTheFilesName) {
    const fs::path file = write("My Model.gguf");
    EXPECT_EQ(name_of_file(file), "my-model");
    EXPECT_EQ(name_of_file("x/M-00001-of-00002.gguf"), "m");
    const auto linked = import(file, name_of_file(file), ImportBy::link_or_copy);
    ASSERT_TRUE(linked.has_value()) << linked.error().message;
    EXPECT_TRUE(os::same_file(linked->path, file));
    EXPECT_EQ(store_.find("my-model").value().source, "file:" + file.string());
    const auto copied = import(file, "copied", ImportBy::copy);
    ASSERT_TRUE(copied.has_value()) << copied.error().message;
    EXPECT_FALSE(os::same_file(copied->path, file));
    EXPECT_EQ(fs::file_size(copied->path), fs::file_size(file));
    // The original stays when the models go.
    ASSERT_TRUE(store_.remove("my-model").has_value() && store_.remove("copied").has_value());
    EXPECT_TRUE(fs::exists(file));
}

TEST_F(Import, OfALinkTheFileItself) {
    const fs::path file = write("m.gguf");
    fs::create_symlink(file, folder_ / "soft.gguf");
    const auto model = import(folder_ / "soft.gguf", "soft", ImportBy::link);
    ASSERT_TRUE(model.has_value()) << model.error().message;
    EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(model->path)));
    EXPECT_TRUE(os::same_file(model->path, file));
}

TEST_F(Import, TwiceIsFineAndAnotherFileIsNot) {
    const fs::path file = write("m.gguf");
    ASSERT_TRUE(import(file, "m", ImportBy::link_or_copy).has_value());
    EXPECT_TRUE(import(file, "m", ImportBy::link_or_copy).has_value());
    const auto other = import(write("other.gguf"), "m", ImportBy::link_or_copy);
    ASSERT_FALSE(other.has_value());
    EXPECT_THAT(other.error().message, HasSubstr("is stored already"));
}

TEST_F(Import, WhatIsNoModelIsRefused) {
    std::ofstream(folder_ / "page.gguf") << "<html>";
    const auto page = import(folder_ / "page.gguf", "page", ImportBy::copy);
    ASSERT_FALSE(page.has_value());
    EXPECT_THAT(page.error().message, HasSubstr("page.gguf"));
    EXPECT_EQ(import(folder_ / "missing.gguf", "missing", ImportBy::copy).error().code, ErrorCode::not_found);
    EXPECT_TRUE(store_.list().value().empty());
    EXPECT_FALSE(fs::exists(store_.folder()));
}

}  // namespace
}  // namespace atlas::tools
