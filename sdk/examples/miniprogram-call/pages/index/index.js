Page({
  data: { room: "r1" },
  typed(event) {
    this.setData({ room: event.detail.value });
  },
  open(event) {
    const { style } = event.currentTarget.dataset;
    wx.navigateTo({ url: `/pages/${style}/index?room=${encodeURIComponent(this.data.room)}` });
  },
});
