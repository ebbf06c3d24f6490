"""Errors of symbols, printed labels and kiosk printing: CRD-2050 to CRD-2069."""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


class SymbologyUnknown(Refusal):
    """No symbology of this name."""

    code = "CRD-2050"
    status = 422
    zh = "没有名为 {symbology} 的码制"
    en = "there is no symbology {symbology}"


class SymbologyNotAvailable(Refusal):
    """A known symbology that this installation cannot draw, because a part of it is not public or not installed."""

    code = "CRD-2051"
    status = 422
    zh = "本平台未安装 {symbology} 码制的驱动，缺少：{missing_zh}"
    en = "{symbology} cannot be drawn here; missing: {missing_en}"


class SymbologyDriverFailed(Unavailable):
    """A vendor's driver of a symbology raised, or did not answer with a grid of modules."""

    code = "CRD-2052"
    zh = "{symbology} 码制的驱动程序工作不正常"
    en = "the driver of {symbology} does not work"


class SymbolDoesNotFit(Refusal):
    """The text is too long for the symbology, or its modules would be too small to read on this label."""

    code = "CRD-2053"
    status = 422
    zh = "该内容的 {symbology} 码在此标签上印不清楚，请换用更大的标签或其他码制"
    en = "this text in {symbology} would be too small to read here; take a larger label or another symbology"


class LabelNotFound(Refusal):
    """No such printed label of this account, or an account of somebody else."""

    code = "CRD-2054"
    status = 404
    zh = "没有找到该标签"
    en = "no such label"


class LabelFontMissing(Unavailable):
    """The font of the labels was not installed."""

    code = "CRD-2055"
    zh = "标签字体没有安装，请运行 make up 或联系管理员"
    en = "the font of the labels is not installed; run make up"


class SheetRefused(Refusal):
    """Some places of a sheet cannot be printed; nothing was printed. A place is its number from 1."""

    code = "CRD-2056"
    status = 409
    zh = "以下位置不能打印，整张未打印：{places}"
    en = "these places cannot be printed, so nothing was: {places}"


class CertificateUnreadable(Refusal):
    """What the certificate reader sent is not a certificate line."""

    code = "CRD-2057"
    status = 422
    zh = "没有读到证件，请把证件平放在读卡区后重试"
    en = "the certificate could not be read; lay it flat on the reader and try again"


class CardNotApplied(Refusal):
    """The certificate has no card account yet."""

    code = "CRD-2058"
    status = 404
    zh = "该证件还没有申领电子健康卡"
    en = "no health card was applied for with this certificate"


class SheetFull(Refusal):
    """A sheet takes a fixed number of labels."""

    code = "CRD-2059"
    status = 409
    zh = "一次最多打印 {labels_max} 张标签，请先打印"
    en = "a sheet takes {labels_max} labels; print it first"


class ApplyAtCounter(Refusal):
    """A card for this certificate cannot be applied for at a kiosk: its reader told neither sex nor day of birth."""

    code = "CRD-2060"
    zh = "该证件不能在自助终端申领健康卡，请到窗口办理"
    en = "a card cannot be applied for with this certificate at a kiosk; please go to a counter"
