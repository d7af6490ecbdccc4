#include "runtime/session/cache/kv_pages.h"

#include <gtest/gtest.h>

#include <set>

namespace atlas {
namespace {

TEST(KvPages, GivesEveryPageOnceThenNothing) {
    KvPages pages(5);
    std::set<uint32_t> seen;
    for (int i = 0; i < 5; ++i) seen.insert(pages.take().value());
    EXPECT_EQ(seen, (std::set<uint32_t>{0, 1, 2, 3, 4}));
    EXPECT_FALSE(pages.take().has_value());
    EXPECT_EQ(pages.n_free(), 0u);
}

TEST(KvPages, FreshPagesComeInOrder) {
    KvPages pages(3);
    EXPECT_EQ(pages.take(), 0u);
    EXPECT_EQ(pages.take(), 1u);
}

TEST(KvPages, TheLastReaderFrees) {
    KvPages pages(1);
    const uint32_t page = pages.take().value();
    pages.share(page);
    EXPECT_TRUE(pages.is_shared(page));
    pages.drop(page);
    EXPECT_FALSE(pages.is_shared(page));
    EXPECT_FALSE(pages.take().has_value()) << "still read by one";
    pages.drop(page);
    EXPECT_EQ(pages.take(), page);
}

TEST(KvPagesDeathTest, DroppingAFreePageIsABug) {
    KvPages pages(2);
    const uint32_t page = pages.take().value();
    pages.drop(page);
    EXPECT_DEATH(pages.drop(page), "not taken");
    EXPECT_DEATH(pages.share(7), "not taken");
}

}  // namespace
}  // namespace atlas
