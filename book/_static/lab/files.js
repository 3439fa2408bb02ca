// @ts-check
// Files to pixels: what a file is by its first bytes, what is refused and why, and the middle square on white.
//
// The page turns this function into the text of a worker, so it may use nothing from outside itself.
(/** @type {any} */ (globalThis)).hsLab ??= {};
(/** @type {any} */ (globalThis)).hsLab.files = () => {
  const LIMIT = 120e6; // pixels: 400 million would fill the memory of the tab
  const LARGE = 24e6; // pixels: from here on the picture is decoded at a fraction of its size, where the browser can

  /** @typedef {{width: number, height: number, moving?: boolean, type?: string}} Said what a header announces */

  /** Whether a GIF has a second picture in these bytes: its blocks, one after the other. @param {DataView} v */
  function moves(v) {
    const table = (/** @type {number} */ flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
    let [at, pictures] = [13 + table(v.getUint8(10)), 0];
    while (at + 10 < v.byteLength && pictures < 2) {
      const kind = v.getUint8(at);
      if (kind !== 0x21 && kind !== 0x2c) break;
      if (kind === 0x2c) pictures += 1;
      at += kind === 0x21 ? 2 : 11 + table(v.getUint8(at + 9));
      while (at < v.byteLength && v.getUint8(at)) at += 1 + v.getUint8(at);
      at += 1;
    }
    return pictures > 1;
  }

  /** What a file is by its first bytes, and how large a picture it announces. Throws the reason of a refusal.
   * @param {DataView} v @returns {Said} */
  function header(v) {
    const text = (/** @type {number} */ from, /** @type {number} */ to) => {
      let made = "";
      for (let i = from; i < Math.min(to, v.byteLength); i += 1) made += String.fromCharCode(v.getUint8(i));
      return made;
    };
    const refuse = (/** @type {string} */ reason) => { throw new Error(reason); };
    const start = text(0, 16);
    if (start.startsWith("\x89PNG")) return { width: v.getUint32(16), height: v.getUint32(20), moving: text(33, 4096).includes("acTL") };
    if (start.startsWith("GIF8")) return { width: v.getUint16(6, true), height: v.getUint16(8, true), moving: moves(v) || text(0, 1024).includes("NETSCAPE2.0") };
    if (start.startsWith("BM")) return { width: Math.abs(v.getInt32(18, true)), height: Math.abs(v.getInt32(22, true)) };
    if (start.startsWith("RIFF") && text(8, 12) === "WEBP") {
      const kind = text(12, 16);
      if (kind === "VP8X") return { width: 1 + (v.getUint32(24, true) & 0xffffff), height: 1 + (v.getUint32(27, true) & 0xffffff), moving: Boolean(v.getUint8(20) & 2) };
      if (kind === "VP8L") return { width: 1 + (v.getUint32(21, true) & 16383), height: 1 + ((v.getUint32(21, true) >>> 14) & 16383) };
      return { width: v.getUint16(26, true) & 16383, height: v.getUint16(28, true) & 16383 };
    }
    if (start.startsWith("\xff\xd8")) {
      for (let at = 2; at + 9 < v.byteLength;) {
        const kind = v.getUint8(at + 1);
        if (v.getUint8(at) !== 0xff) break;
        if (kind >= 0xc0 && kind <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(kind)) return { width: v.getUint16(at + 7), height: v.getUint16(at + 5), type: "image/jpeg" };
        at += kind === 0xff ? 1 : 2 + v.getUint16(at + 2);
      }
      return refuse("it is a JPEG without a picture");
    }
    if (start.slice(4, 8) === "ftyp") {
      if (!/^avi[fs]/.test(start.slice(8))) return refuse(/^(he|mi|ms)/.test(start.slice(8)) ? "it is a HEIC picture, which browsers cannot read; save it as JPEG" : "it is a video");
      const at = text(0, v.byteLength).indexOf("ispe");
      return at < 0 ? refuse("it is an AVIF that does not say its size") : { width: v.getUint32(at + 8), height: v.getUint32(at + 12), moving: start[11] === "s" };
    }
    if (/^(II\*|MM\0)/.test(start)) return refuse("it is a TIFF, which browsers cannot read; save it as JPEG or PNG");
    if (start.startsWith("%PDF")) return refuse("it is a PDF");
    if (start.startsWith("\x1aE\xdf\xa3")) return refuse("it is a video");
    if (/<svg|<\?xml/i.test(text(0, 256))) return refuse("it is a drawing (SVG), not a photograph");
    return refuse("it is no picture that browsers read (JPEG, PNG, WebP, AVIF, GIF or BMP)");
  }

  /** @param {Blob} file */
  async function announced(file) {
    if (!file.size) throw new Error("it is empty");
    if (file.size > 200e6) throw new Error("it is larger than 200 MB");
    let bytes;
    try {
      bytes = await file.slice(0, 1 << 20).arrayBuffer();
    } catch {
      throw new Error("the browser could not open it; a folder has to be opened first");
    }
    try {
      return header(new DataView(bytes));
    } catch (error) {
      throw error instanceof RangeError ? new Error("it ends too soon") : error;
    }
  }

  /** The picture, at a fraction of its size where it is large: a JPEG may be read at an eighth, a quarter or a half.
   * @param {Blob} file @param {Said} said @returns {Promise<any>} */
  async function opened(file, { width, height, type = "" }) {
    const shrink = [8, 4, 2].find((by) => Math.min(width, height) / by >= 768);
    const Decoder = /** @type {any} */ (globalThis).ImageDecoder;
    // A decoder that knows no rotation would lay a portrait on its side.
    if (width * height > LARGE && type && shrink && Decoder && "rotation" in VideoFrame.prototype) {
      try {
        const decoder = new Decoder({ data: file.stream(), type, desiredWidth: Math.ceil(width / shrink), desiredHeight: Math.ceil(height / shrink), preferAnimation: false });
        const { image } = await decoder.decode();
        decoder.close();
        return image;
      } catch { /* read whole, below */ }
    }
    return createImageBitmap(file);
  }

  /** Upright pixels of the middle square on white, at the sides of both networks.
   * @param {Blob} file @param {number} side @param {any} resizer */
  async function decode(file, side, resizer) {
    const said = await announced(file);
    const { width, height, moving } = said;
    if (width * height > LIMIT) throw new Error(`it has ${width} × ${height} pixels, more than 120 million`);
    if (Math.min(width, height) < 8) throw new Error(`it has ${width} × ${height} pixels; fewer than 8 show nothing`);
    let image;
    try {
      image = await opened(file, said);
    } catch {
      throw new Error("it is damaged or ends too soon");
    }
    try {
      const [w, h] = [image.displayWidth ?? image.width, image.displayHeight ?? image.height];
      if (w * h > LIMIT) throw new Error(`it has ${w} × ${h} pixels, more than 120 million`);
      const [large, small] = [resizer(w, h, side), resizer(w, h, 32)];
      const rows = Math.max(1, Math.min(h, Math.floor(1e6 / w)));
      const canvas = new OffscreenCanvas(w, rows);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      if (!context) throw new Error("the browser gave no canvas");
      for (let top = 0; top < h; top += rows) {
        const here = Math.min(rows, h - top);
        context.fillStyle = "#fff";
        context.fillRect(0, 0, w, rows);
        context.drawImage(image, 0, -top);
        const { data } = context.getImageData(0, 0, w, here);
        large.rows(data, top);
        small.rows(data, top);
      }
      return { pixels: large.out, small: small.out, width, height, bytes: file.size, moving };
    } finally {
      image.close();
    }
  }

  return { decode, header };
};
