#include "tools/output_file.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace atlas::tools {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class OutputFile : public ::testing::Test {
  protected:
    fs::path file(const std::string& name) {
        std::ofstream(folder_ / name) << "precious";
        return folder_ / name;
    }
    static std::string refusal(const Result<void>& result) { return result ? "" : result.error().message; }
    TempDir folder_;
};

TEST_F(OutputFile, NewNamesAreFine) { EXPECT_TRUE(check_output(folder_ / "new", {file("in")}, false)); }

TEST_F(OutputFile, WhatExistsWantsForce) {
    const fs::path out = file("out");
    EXPECT_THAT(refusal(check_output(out, {}, false)), HasSubstr("--force"));
    EXPECT_TRUE(check_output(out, {}, true));
    fs::create_symlink(folder_ / "nowhere", folder_ / "dangling");
    EXPECT_THAT(refusal(check_output(folder_ / "dangling", {}, false)), HasSubstr("--force"));
}

TEST_F(OutputFile, AnInputIsNeverWrittenWhateverItIsCalled) {
    const fs::path in = file("in");
    fs::create_symlink(in, folder_ / "soft");
    fs::create_hard_link(in, folder_ / "hard");
    fs::create_directory(folder_ / "sub");
    for (const fs::path& out : {in, folder_ / "soft", folder_ / "hard", folder_ / "sub" / ".." / "in"}) {
        EXPECT_THAT(refusal(check_output(out, {folder_ / "missing", in}, true)), HasSubstr("destroy")) << out;
    }
}

TEST_F(OutputFile, EveryPartOfASplitModelIsAnInput) {
    const fs::path first = file("m-00001-of-00003.gguf"), third = file("m-00003-of-00003.gguf");
    EXPECT_THAT(model_files(third), ::testing::ElementsAre(first, third));
    EXPECT_THAT(refusal(check_output(third, model_files(first), true)), HasSubstr("destroy"));
    EXPECT_THAT(model_files(folder_ / "one.gguf"), ::testing::ElementsAre(folder_ / "one.gguf"));
}

TEST_F(OutputFile, FoldersDevicesAndMissingFoldersAreSaid) {
    EXPECT_THAT(refusal(check_output(folder_.path(), {}, true)), HasSubstr("a folder"));
    EXPECT_THAT(refusal(check_output("/dev/null", {}, true)), HasSubstr("a device"));
    EXPECT_THAT(refusal(check_output(folder_ / "no" / "out", {}, false)), HasSubstr("there is no folder"));
}

}  // namespace
}  // namespace atlas::tools
